"""Fitting a form to trials with lmfit, and refitting it to most of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.form import Design, FloatArray, Form

# A parameter this near its bound (as a share of its own scale) is held there when errors are propagated.
AT_BOUND = 1e-6
Evaluated = tuple[FloatArray, FloatArray]  # what a design says at one theta: values, derivatives

MOST_REFIT_STEPS = 100
REFIT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Fit:
    """A form fitted to measurements.

    Attributes:
        theta: the parameters, shape (p,), in the form's order.
        covariance: of the parameters, shape (p, p); zero for those held at a bound.
        scatter: standard deviation of one trial about the curve: relative to the prediction where the form
            weighs relative errors, else in the unit of what is predicted.
        report: lmfit's report of the fit.
    """

    theta: FloatArray
    covariance: FloatArray
    scatter: float
    report: str


def weights(form: Form, measured: FloatArray) -> FloatArray:
    """What each residual is multiplied by: 1/measured for relative errors, else 1."""
    return 1.0 / measured if form.relative else np.ones(len(measured))


def fit(form: Form, design: Design, measured: FloatArray, unit: str) -> Fit:
    """The form's parameters for the measurements, by lmfit within the form's bounds.

    Args:
        form: the family.
        design: `form.design` at the trials' inputs.
        measured: joules or seconds of each trial, shape (n,), positive.
        unit: J or s, for the report.
    """
    import lmfit

    names = [parameter.name for parameter in form.parameters()]

    def curve(x: Design, **values: float) -> FloatArray:
        """The form as lmfit calls it: parameters by name."""
        return x.evaluate(np.array([values[name] for name in names]))[0]

    weight = weights(form, measured)

    def slope(params: Any, *_: Any, **__: Any) -> FloatArray:
        """Derivatives of lmfit's residuals by each parameter, shape (n, p)."""
        theta = np.array([params[name].value for name in names])
        return -design.evaluate(theta)[1] * weight[:, None]  # lmfit's residual is data less model

    # lmfit reads a function's parameters off its signature, or off these two attributes.
    curve.argnames, curve.kwargs = ["x", *names], []  # type: ignore[attr-defined]
    model = lmfit.Model(curve, independent_vars=["x"], name=f"{form.name} [{unit}]")
    start = form.start(design, measured)
    params = model.make_params()
    for parameter, value in zip(form.parameters(), start, strict=True):
        params[parameter.name].set(value=float(value), min=parameter.least, max=parameter.most)
    options: dict[str, Any] = {"jac": slope, "x_scale": "jac", "ftol": 1e-12, "xtol": 1e-10, "gtol": 1e-12}
    if form.robust_scale is not None:
        options.update(loss="soft_l1", f_scale=form.robust_scale)
    # A parameter that the trials do not determine has no error in lmfit's report; ours is worked out below.
    with np.errstate(invalid="ignore", divide="ignore"):
        result = model.fit(
            measured, params, x=design, weights=weight, method="least_squares", max_nfev=2000, fit_kws=options
        )
    theta = _snapped(form, np.array([result.params[name].value for name in names]), start)
    theta = refit(form, design, measured, theta)
    covariance, scatter = uncertainty(form, design, measured, theta)
    return Fit(theta, covariance, scatter, result.fit_report())


def uncertainty(
    form: Form, design: Design, measured: FloatArray, theta: FloatArray
) -> tuple[FloatArray, float]:
    """Covariance of the parameters, shape (p, p), and the scatter of one trial about the curve."""
    value, slope = design.evaluate(theta)
    weight = weights(form, measured)
    residual = (value - measured) * weight
    pull, curvature = _loss(form, residual)
    free = _free(form, theta)
    dof = max(len(measured) - int(free.sum()), 1)
    scatter = float(np.sqrt(np.sum((pull * residual) ** 2) / dof))
    jacobian = slope[:, free] * weight[:, None]
    scale = np.linalg.norm(jacobian, axis=0)
    scale[scale == 0] = 1.0
    jacobian = jacobian / scale
    # Huber (1981, 7.6): least squares' covariance, corrected by the mean curvature of the loss.
    information = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-12)
    spread = (scatter / float(np.mean(curvature))) ** 2
    covariance = np.zeros((len(theta), len(theta)))
    covariance[np.ix_(free, free)] = information * spread / np.outer(scale, scale)
    return covariance, scatter


def refit(
    form: Form,
    design: Design,
    measured: FloatArray,
    theta: FloatArray,
    rows: NDArray[np.bool_] | None = None,
    known: Evaluated | None = None,
) -> FloatArray:
    """The parameters for the chosen rows only, from a near start: damped Newton steps within the bounds.

    Minimises what `fit` minimises; leaving one cell out at a time this is many times faster than a fresh fit.

    Args:
        theta: where to start, shape (p,).
        rows: which trials count, shape (n,); all if None.
        known: `design.evaluate(theta)`, where many refits start from one theta.
    """
    weight = weights(form, measured) * (1.0 if rows is None else rows)
    least = np.array([parameter.least for parameter in form.parameters()])
    most = np.array([parameter.most for parameter in form.parameters()])
    theta = np.clip(theta, least, most)

    def state(evaluated: Evaluated) -> tuple[float, FloatArray, FloatArray]:
        """Cost, gradient and approximate Hessian where the form was evaluated."""
        value, slope = evaluated
        residual = (value - measured) * weight
        pull, curvature = _loss(form, residual)
        jacobian = slope * weight[:, None]
        gradient = jacobian.T @ (pull * residual)
        hessian = jacobian.T @ (jacobian * curvature[:, None])
        return _cost(form, residual), gradient, hessian

    cost, gradient, hessian = state(known or design.evaluate(theta))
    damping = 0.0
    for _ in range(MOST_REFIT_STEPS):
        trial = np.clip(theta + _step(theta, gradient, hessian, damping, (least, most)), least, most)
        predicted = gradient @ (trial - theta)
        if abs(predicted) <= REFIT_TOLERANCE * max(cost, 1e-12):
            break
        new = state(design.evaluate(trial))
        if new[0] <= cost:
            theta, (cost, gradient, hessian) = trial, new
            damping = 0.0 if damping < 1e-6 else damping / 10
        else:
            damping = max(10 * damping, 1e-4)
            if damping > 1e12:
                break
    return theta


def _step(
    theta: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
    damping: float,
    bounds: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """A damped Newton step over the parameters that no bound holds, shape (p,)."""
    held = ((theta <= bounds[0]) & (gradient > 0)) | ((theta >= bounds[1]) & (gradient < 0))
    size = len(theta)
    scale = np.sqrt(hessian.diagonal())
    free = ~held & (scale > 0)
    unit = np.where(scale > 0, scale, 1.0)
    scaled = hessian / unit / unit[:, None]
    step = np.zeros(size)
    # A bound that the step would cross holds its parameter, and the others step anew: the active set.
    for _ in range(size):
        system = scaled * free * free[:, None]
        system.flat[:: size + 1] = 1.0 + damping + 1e-13
        fixed = np.where(free, 0.0, step)
        right = -(gradient + hessian @ fixed) / unit * free
        step = np.where(free, np.linalg.solve(system, right) / unit, fixed)
        crossed = free & ((theta + step < bounds[0]) | (theta + step > bounds[1]))
        if not crossed.any():
            break
        step = np.where(crossed, np.clip(theta + step, *bounds) - theta, step)
        free &= ~crossed
    return step


def _loss(form: Form, residual: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivative factors of the loss: 1 and 1 for squares, less for soft L1 far out."""
    if form.robust_scale is None:
        return np.ones_like(residual), np.ones_like(residual)
    root = np.sqrt(1 + (residual / form.robust_scale) ** 2)
    return 1 / root, 1 / root**3


def _cost(form: Form, residual: FloatArray) -> float:
    """The sum that a fit minimises: half the squares, or soft L1 of the residuals."""
    if form.robust_scale is None:
        return 0.5 * float(residual @ residual)
    scale = form.robust_scale
    return float(np.sum(np.sqrt(1 + (residual / scale) ** 2) - 1)) * scale**2


def _snapped(form: Form, theta: FloatArray, start: FloatArray) -> FloatArray:
    """The parameters, on the bounds that an interior method only nears, shape (p,)."""
    near = 1e-9 * np.maximum(np.abs(start), 1e-12)
    for k, parameter in enumerate(form.parameters()):
        for bound in (parameter.least, parameter.most):
            if abs(theta[k] - bound) <= near[k]:
                theta[k] = bound
    return theta


def _free(form: Form, theta: FloatArray) -> NDArray[np.bool_]:
    """Which parameters lie inside their bounds, shape (p,)."""
    room = np.array([min(t - p.least, p.most - t) for t, p in zip(theta, form.parameters(), strict=True)])
    return room > AT_BOUND * np.maximum(np.abs(theta), AT_BOUND)
