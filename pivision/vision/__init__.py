"""The vision: one file for each operation, array in and result out. No store, no settings, no HTTP.

A frame is a BGR array (H, W, 3) of uint8, upright; the results are the types of `pivision.operations`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from pivision.errors import OperationFailed
from pivision.models import Installed
from pivision.operations import OperationCall
from pivision.operations.annotate import AnnotateParams, AnnotateResult
from pivision.vision import annotate, codes, faces, markers, motion, objects, people, quality, text
from pivision.vision.failures import translated
from pivision.vision.network import Network
from pivision.vision.scene import Scene


class Vision:
    """Every operation, with the networks that were loaded for them: each once, when it is first needed."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}  # by the name of the model

    def run(self, call: OperationCall, scene: Scene, model: Installed | None) -> msgspec.Struct:
        """Run one operation, with this model if it has one, and return what `pivision.operations` declares.

        Raises OutOfMemory, OperationFailed, ModelUnusable, ModelMissing, and what `scene.keep` raises.
        """
        size = f"{scene.frame.shape[1]} x {scene.frame.shape[0]} pixels"
        with translated(f"{call.name} on {size}", OperationFailed):
            return _FUNCTIONS[call.name](scene, call.params, self._network(model) if model else None)

    def _network(self, model: Installed) -> Network:
        """Loaded anew when the file was replaced, or its manifest corrected."""
        network = self._networks.get(model.model.name)
        if network is None or network.installed.identity != model.identity:
            network = self._networks[model.model.name] = Network(model)
        return network


def _annotate(scene: Scene, params: AnnotateParams, _network: Network | None) -> AnnotateResult:
    jpeg, width_px, height_px = annotate.draw(scene.frame, params, scene.found)
    return AnnotateResult(scene.keep(jpeg), width_px, height_px, len(jpeg))


_FUNCTIONS: dict[str, Callable[[Scene, Any, Any], msgspec.Struct]] = {
    "codes": lambda scene, params, _: codes.read_codes(scene.frame, params),
    "faces": lambda scene, params, network: faces.find_faces(scene.frame, params, network),
    "objects": lambda scene, params, network: objects.find_objects(scene.frame, params, network),
    "people": lambda scene, params, network: people.find_people(scene.frame, params, network),
    "markers": lambda scene, params, _: markers.find_markers(scene.frame, params),
    "motion": lambda scene, params, _: motion.detect_motion(scene.frame, params, scene.previous()),
    "quality": lambda scene, params, _: quality.measure_quality(scene.frame, params, scene.previous()),
    "text": lambda scene, params, _: text.read_text(scene.frame, params),
    "annotate": _annotate,
}
