"""Configuration: strict merging of a node into its dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from llmsim.errors import InputError, did_you_mean

T = TypeVar("T")


def parse(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """The dataclass `cls` filled from a configuration node.

    Args:
        cls: a dataclass with typed fields; a field without a default must be given.
        node: plain mapping (or OmegaConf node) of field names to values.
        where: the node's place in the configuration, for errors, such as ``hardware.a100``.

    Raises:
        InputError: a key that is not a field (with the nearest that is), a value of the wrong type, or a
            field that is missing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    values = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else dict(node)
    assert isinstance(values, dict)
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{where}.{key}: no such setting. {did_you_mean(str(key), known, 'setting')}")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), values)
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or ""
        reason = str(error).splitlines()[0]
        raise InputError(f"{where}{'.' + key if key else ''}: {reason}") from error
    return result  # type: ignore[return-value]
