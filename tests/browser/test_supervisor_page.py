"""supervisord's web page in the browser of its owner: its buttons work, and no other page can press them."""

import base64
import http.client
import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.box import Box, eventually, running_box

STOP = "/index.html?processname=worker:worker_1&action=stop"
STOP_BY_RPC = (
    "<?xml version='1.0'?><methodCall><methodName>supervisor.stopProcess</methodName>"
    "<params><param><value><string>worker:worker_1</string></value></param></params></methodCall>"
)
ATTACKS = {
    "link": "<a id=go href='{page}{stop}'>a kitten</a>",
    "redirect": "<a id=go href='/away'>a kitten</a>",
    "form": "<form method=post action='{page}{stop}'><button id=go name=action value=stop>a kitten</button></form>",
    "form with GET": "<form action='{page}/index.html'><input type=hidden name=processname value='worker:worker_1'>"
    "<button id=go name=action value=stop>a kitten</button></form>",
    "form as RPC": "<form method=post enctype=text/plain action='{page}/RPC2'>"
    '<input type=hidden name="{rpc}" value=""><button id=go>a kitten</button></form>',
    "script": "<button id=go onclick=\"fetch('{page}{stop}', {{method: 'POST', mode: 'no-cors', "
    "credentials: 'include', body: 'action=stop'}})\">a kitten</button>",
    "stop all": "<a id=go href='{page}/?action=stopall'>a kitten</a>",
    "coded": "<a id=go href='{page}/index.html?processname=worker:worker_1&%61ction=stop'>a kitten</a>",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with running_box() as running:
        eventually(lambda: running.programs()["worker:worker_1"].state == "RUNNING", "the worker runs")
        yield running


@pytest.fixture(scope="module")
def elsewhere(box: Box) -> Iterator[str]:
    """Another site; its address."""
    page = f"http://127.0.0.1:{box.web_port}"

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", page + STOP)
                self.end_headers()
                return
            attack = ATTACKS.get(self.path.removeprefix("/").replace("-", " "), "")
            body = attack.format(page=page, stop=STOP.replace("&", "&amp;"), rpc=STOP_BY_RPC.replace('"', "&quot;"))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def signed_in(browser: Browser, box: Box) -> Iterator[Page]:
    """The owner, who has the page open."""
    context: BrowserContext = browser.new_context(
        http_credentials={"username": "pivision", "password": web_password(box)}
    )
    page = context.new_page()
    answer = page.goto(f"http://127.0.0.1:{box.web_port}/")
    assert answer is not None
    assert answer.status == 200
    yield page
    context.close()


def web_password(box: Box) -> str:
    return (box.data_dir / "secrets" / "supervisor-web-password").read_text().strip()


def test_the_owners_own_clicks_stop_start_and_restart(signed_in: Page, box: Box) -> None:
    def click(text: str) -> None:
        signed_in.locator("tr", has_text="worker:worker_1").get_by_role("button", name=text, exact=True).click()

    click("Stop")
    signed_in.get_by_text("Process worker:worker_1 stopped").wait_for()
    assert box.programs()["worker:worker_1"].state == "STOPPED"
    click("Start")
    signed_in.get_by_text("Process worker:worker_1 started").wait_for()
    first = box.pid("worker:worker_1")
    click("Restart")
    signed_in.get_by_text("Process worker:worker_1 restarted").wait_for()
    assert box.pid("worker:worker_1") != first
    signed_in.get_by_role("link", name="Refresh").click()
    signed_in.get_by_text("Page refreshed at").wait_for()


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_other_page_stops_a_program(signed_in: Page, box: Box, elsewhere: str, attack: str) -> None:
    before = {name: program.pid for name, program in box.programs().items()}
    signed_in.goto(f"{elsewhere}/{attack.replace(' ', '-')}")
    with signed_in.expect_response(lambda response: f":{box.web_port}/" in response.url) as answered:
        signed_in.click("#go")
    assert answered.value.status == 403
    assert {name: program.pid for name, program in box.programs().items()} == before
    assert {program.state for program in box.programs().values()} == {"RUNNING"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", ""])
def test_a_name_that_was_made_to_lead_here_is_refused(box: Box, host: str) -> None:
    assert asked(box, "GET", "/", Host=host.format(port=box.web_port)) == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:{port}", "localhost:1234", "[::1]:9001"])
def test_the_names_of_this_machine_and_of_a_tunnel_are_taken(box: Box, host: str) -> None:
    assert asked(box, "GET", "/", Host=host.format(port=box.web_port)) == 200


def test_a_program_may_call_with_the_password_and_a_form_may_not(box: Box) -> None:
    state = STOP_BY_RPC.replace("stopProcess", "getProcessInfo")
    assert asked(box, "POST", "/RPC2", state, **{"Content-Type": "text/xml"}) == 200
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=text/xml"):
        assert asked(box, "POST", "/RPC2", state, **{"Content-Type": content_type}) == 403
    foreign = {"Content-Type": "text/xml", "Origin": "null"}
    assert asked(box, "POST", "/RPC2", state, **foreign) == 403


def test_the_body_of_what_is_refused_is_no_request(box: Box) -> None:
    """A form can send any text; were it read as the next request, it would bring its own Host and Origin."""
    smuggled = f"POST {STOP} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 0\r\n\r\n"
    assert asked(box, "POST", STOP, smuggled, Origin="http://evil.example") == 403


def asked(box: Box, method: str, path: str, body: str | None = None, **headers: str) -> int:
    """The status of the only answer."""
    basic = base64.b64encode(f"pivision:{web_password(box)}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", box.web_port, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": f"Basic {basic}", **headers})
        assert connection.sock is not None
        stream = connection.sock.makefile("rb")
        answer = connection.getresponse()
        answer.read()
        assert answer.status != 403 or stream.read() == b"", "the connection is closed"
        return answer.status
    finally:
        connection.close()
