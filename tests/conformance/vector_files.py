"""Signature vectors: those whose licence allows a copy stand in tests/vectors, the others in a folder beside the
repository, which need not be there."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_BESIDE = _ROOT.parent / "shared" / "vectors"

_NAMES_BESIDE = {"wechat": "wechatpay"}

Vector = dict[str, Any]  # JSON as it was collected; its fields are described beside the collection


def vectors(channel: str) -> tuple[dict[str, Any], list[Any]]:
    """The channel's keys by name, and one pytest parameter per vector; a skipped one when the folder is absent."""
    own = json.loads((_ROOT / "tests" / "vectors" / channel / "vectors.json").read_text())
    keys, params = own["keys"], [pytest.param(vector, id=vector["name"]) for vector in own["vectors"]]
    path = _BESIDE / f"{_NAMES_BESIDE.get(channel, channel)}.json"
    if not path.exists():
        absent = pytest.mark.skip(reason=f"{path} is absent: only the vectors copied into tests/vectors are judged")
        return keys, [*params, pytest.param({}, id="vectors-beside-the-repository", marks=absent)]
    beside = json.loads(path.read_text())
    copied = {vector["name"] for vector in own["vectors"]}
    others = [vector for vector in beside["vectors"] if vector["name"] not in copied]
    return {**beside["keys"], **keys}, [*params, *(pytest.param(vector, id=vector["name"]) for vector in others)]


def body_of(vector: Vector) -> bytes:
    """The body's raw bytes."""
    return base64.b64decode(vector.get("body_b64", ""))
