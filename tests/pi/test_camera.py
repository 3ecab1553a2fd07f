"""A camera under the unit's sandbox: the kernel's own test camera (vivid), seen by OpenCV from inside."""

import shlex

from tests.pi.guest import Guest
from tests.pi.image import PROJECT

LOOK = "import cv2; taken, frame = cv2.VideoCapture(0, cv2.CAP_V4L2).read(); print('camera', taken, frame.shape)"
DROP_IN = f'[Service]\nExecStartPost=/{PROJECT}/.venv/bin/python -c "{LOOK}"\n'
FOLDER = "/run/systemd/system/pivision.service.d"


def test_opencv_takes_a_picture_inside_the_sandbox(installed: Guest) -> None:
    installed.types("sudo modprobe vivid")
    installed.types(f"sudo mkdir -p {FOLDER} && echo {shlex.quote(DROP_IN)} | sudo tee {FOLDER}/camera.conf")
    installed.types("sudo systemctl daemon-reload && sudo systemctl restart pivision", timeout=300)
    said = installed.types("sudo journalctl -u pivision --grep camera --output cat --no-pager").stdout
    assert "camera True (" in said
    installed.types(f"sudo rm -r {FOLDER} && sudo systemctl daemon-reload")
