"""What has changed between two pictures of a source, whatever the light and the sensor's noise do."""

import cv2
import numpy as np
import numpy.typing as npt

from pivision.operations.geometry import Box
from pivision.operations.motion import MotionParams, MotionResult
from pivision.vision.frame import Frame
from pivision.vision.grey import grey_within
from pivision.vision.opencv import Grey

_COMPARED_SIDE_PX = 320
_SAME_ASPECT = 0.01  # of each other: what rounding makes of 16:9 at 854 x 480
_BLUR_PX = 1.0  # sigma, at the compared size: takes noise away and forgives half a pixel of trembling
_CUT_OFF_LEVELS = 8  # this near to black and white, a pixel may have been lighter or darker than it could say
_FIT_STEP = 4  # every 16th pixel tells as much about the light
_FIT_ROUNDS = 12
_KEPT_GAIN = 4.0  # levels²: scenes that vary less than this tell little of the light's gain, which then stays near 1
_KEPT_OFFSET = 1e-3  # so that a picture of a few pixels has an answer, too
_BETTER = 1.25  # a gain must explain the picture by so much better than none to be believed
_NOISE_FACTOR = 4  # standard deviations of what the light leaves unexplained: one pixel in 16,000 is beyond

_Levels = npt.NDArray[np.float32]
_Numbers = npt.NDArray[np.float64]


def detect_motion(frame: Frame, params: MotionParams, previous: Frame | None) -> MotionResult:
    """Compare a BGR frame (H, W, 3) with the one before from the same source.

    Both are looked at in grey, with a longer side of at most 320 pixels, blurred. `previous` is brought to the light of
    `frame` (`_relit`); pixels that then differ by more than `threshold_levels`, and by more than noise does, have
    changed. An opening takes single ones away, a closing joins what belongs together, and each region that is left and
    not below `min_area` has moved: a thing that leaves its place and takes another changes both.

    The score tells by how far the clearest region exceeds what was asked for: 1 - threshold / difference, with the
    region's mean difference. 0 is no motion, 0.5 twice the threshold, and 1 is never quite reached.

    A previous picture of another aspect ratio is not compared; one of another size is scaled.
    Limits: a camera that moved has changed everything; shadows and lamps that light a part of the scene are changes;
    what is smaller than three pixels of 320 is not seen, nor what a light leaves too dark to differ by the threshold.
    Source: Radke et al., "Image change detection algorithms: a systematic survey", IEEE Transactions on Image
    Processing 14 (2005): intensity normalisation, and thresholds by the noise.
    """
    if previous is None or not _have_same_aspect(frame, previous):
        return MotionResult(is_compared=False, score=0.0, changed_area=0.0, boxes=())
    now = grey_within(frame, _COMPARED_SIDE_PX)
    before = grey_within(previous, _COMPARED_SIDE_PX)
    if before.shape != now.shape:
        before = np.asarray(cv2.resize(before, now.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    difference, threshold = _difference(_smooth(now), _smooth(before), params.threshold_levels)
    changed = (difference > threshold).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    changed = np.asarray(cv2.morphologyEx(changed, cv2.MORPH_OPEN, square), np.uint8)
    changed = np.asarray(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, square, iterations=2), np.uint8)
    return _regions(changed, difference, threshold, params.min_area, frame)


def _have_same_aspect(one: Frame, other: Frame) -> bool:
    across, down = one.shape[1] * other.shape[0], one.shape[0] * other.shape[1]
    return one.shape == other.shape or abs(across - down) <= _SAME_ASPECT * max(across, down)


def _smooth(grey: Grey) -> _Levels:
    return np.asarray(cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR_PX), np.float32)


def _difference(now: _Levels, before: _Levels, threshold_levels: int) -> tuple[_Levels, float]:
    """By how many levels each pixel differs that the light does not explain, and from where on that is a change."""
    expected = _relit(before, now)
    difference = now - expected
    darkest, lightest = _CUT_OFF_LEVELS, 255 - _CUT_OFF_LEVELS
    around = np.ones((5, 5), np.uint8)  # as far as the blur carries what was cut off
    difference[(cv2.dilate(before, around) >= lightest) & (difference > 0)] = 0  # it may have been lighter all along
    difference[(cv2.erode(before, around) <= darkest) & (difference < 0)] = 0
    difference = np.abs(difference)
    noise = _spread(difference)
    # Noise that a sudden light has amplified may raise the threshold, but not for ever: where most of the picture has
    # changed, that is not noise.
    return difference, max(threshold_levels, min(_NOISE_FACTOR * noise, 2 * threshold_levels))


def _relit(before: _Levels, now: _Levels) -> _Levels:
    """What the picture before would look like in the light of now, if nothing had moved.

    now = gain before + offset, as in Negahdaripour, "Revised definition of optical flow: integration of radiometric and
    geometric cues", IEEE PAMI 20 (1998), each a polynomial of degree 2 over the picture. They are fitted by least
    squares that are weighted anew in each round (Cauchy's weights), so that what moves counts little. The gain is held
    near 1 where the picture before is too even to tell it: noise flattens such a fit.
    """
    height, width = now.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    middle = float(np.median(before))

    def terms(step: int) -> _Numbers:
        level, across, down = (each[::step, ::step].ravel() for each in (before - middle, x, y))
        slow = np.column_stack([np.ones_like(across), across, down, across**2, across * down, down**2])
        return np.hstack([slow * level[:, np.newaxis], slow])

    is_cut_off = (np.abs(before - 127.5) > 127.5 - _CUT_OFF_LEVELS) | (np.abs(now - 127.5) > 127.5 - _CUT_OFF_LEVELS)
    is_used = ~is_cut_off[::_FIT_STEP, ::_FIT_STEP].ravel()
    model, target = terms(_FIT_STEP)[is_used], now[::_FIT_STEP, ::_FIT_STEP].ravel()[is_used]
    if not len(target):
        return before
    steady = np.array([1.0, 0, 0, 0, 0, 0, middle, 0, 0, 0, 0, 0])
    steady[6] += np.median(target - model @ steady)
    switched = steady.copy()
    switched[[0, 6]] += _fit(model[:, [0, 6]], target - model @ steady, np.ones(len(target)))
    spreads = [_spread(target - model @ light) for light in (steady, switched)]
    # Where an even wall fills the picture, a gain of 0 explains a thing that has gone just as well: only a light that
    # explains more than the thing counts.
    light = steady if spreads[0] <= _BETTER * spreads[1] + 0.5 else switched
    residual = target - model @ light
    light = light + _fit(model, residual, _weights(residual))
    return np.asarray(np.clip(terms(1) @ light, 0, 255), np.float32).reshape(now.shape)


def _fit(model: _Numbers, target: _Numbers, weights: _Numbers) -> _Numbers:
    """The factors with which the columns of `model`, half of them gains, half offsets, add up to `target` best."""
    half = model.shape[1] // 2
    held = len(target) * np.diag([_KEPT_GAIN] * half + [_KEPT_OFFSET] * half)
    for _ in range(_FIT_ROUNDS):
        weighted = model * weights[:, np.newaxis]
        factors = np.linalg.solve(weighted.T @ model + held, weighted.T @ target)
        weights = _weights(target - model @ factors)
    return np.asarray(factors)


def _weights(residual: _Numbers) -> _Numbers:
    return np.asarray(1 / (1 + (residual / max(2.0, _spread(residual))) ** 2))


def _spread(residual: _Numbers | _Levels) -> float:
    """The standard deviation of what is distributed normally, by its middle half: outliers do not change it."""
    return 1.4826 * float(np.median(np.abs(residual)))


def _regions(changed: Grey, difference: _Levels, threshold: float, min_area: float, frame: Frame) -> MotionResult:
    """The connected parts of `changed`, as boxes of the frame."""
    count, labels, statistics, _middles = cv2.connectedComponentsWithStats(changed, connectivity=8)
    across, down = frame.shape[1] / changed.shape[1], frame.shape[0] / changed.shape[0]
    boxes, score, moved_px = [], 0.0, 0
    for label in sorted(range(1, count), key=lambda each: -int(statistics[each, cv2.CC_STAT_AREA])):
        left, top, width, height, area_px = statistics[label].tolist()
        if area_px < min_area * changed.size:
            break  # those that follow are smaller still
        boxes.append(Box(left * across, top * down, width * across, height * down))
        moved_px += area_px
        mean = float(difference[(labels == label) & (difference > threshold)].mean())  # not of what was closed
        score = max(score, 1 - threshold / mean)
    return MotionResult(is_compared=True, score=score, changed_area=moved_px / changed.size, boxes=tuple(boxes))
