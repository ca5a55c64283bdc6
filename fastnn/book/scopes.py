"""Scopes (section "Variable scopes and sharing variables"): names within names, "scope/layer/W".

A scope knows the variables that were created in it and in the scopes within it. Unlike the book's it is an object and
nothing global: two of the same name are strangers.
"""

from __future__ import annotations

import fastnn as fnn

from ._result import Result


def run(seed: int) -> Result:
    model = fnn.Scope("model")
    shared = network(model / "shared", seed)
    towers = [network(model / f"tower_{i}", seed) for i in (1, 2)]
    lines = [f"{name:<24}{variable.shape}" for name, variable in model.variables.items()]
    inner = list((model / "tower_1").variables)
    lines.append(f"within {model / 'tower_1'}: {', '.join(inner)}")

    again = network((model / "shared").reuse())
    again.variables["model/shared/layer/b"] = [1, 2]
    reused = shared.variables["model/shared/layer/b"].value.tolist() == [1, 2]
    apart = not any(tower.variables[f"model/tower_{i}/layer/b"].value.any() for i, tower in enumerate(towers, 1))
    lines.append(f"assigned through the one that reuses: the first sees it {reused}, the towers do not {apart}")
    errors = {
        "over": said(model / "tower_1", seed),
        "under": said((model / "tower_3").reuse(), None),
        "stranger": said(fnn.Scope("model/tower_1"), seed),
    }
    lines += [f"created again: {errors['over']}", f"reused before it exists: {errors['under']}"]
    lines.append(f"in another scope of the same name: {errors['stranger']}")
    numbers = {"names": list(model.variables), "inner": inner, "reused": reused, "apart": apart, "errors": errors}
    return Result(f"{len(model.variables)} variables in a scope and the scopes within it", lines, numbers)


def network(scope: fnn.Scope, seed: int | None = None) -> fnn.Network:
    return fnn.Network(3, [fnn.Dense(2, name="layer")], seed=seed, scope=scope)


def said(scope: fnn.Scope, seed: int | None) -> str:
    """What the library says of a network there."""
    try:
        network(scope, seed)
    except ValueError as error:
        return str(error)
    return "no error"
