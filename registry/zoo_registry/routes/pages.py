"""The pages people read: the same questions as the API, answered in HTML.

Parse → ask the registry → render.

Everything works without JavaScript. A mistake or a missing artifact is a page too, with the status
the API would give.
"""

from collections.abc import Sequence
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from zoo_registry.access import Access
from zoo_registry.litertjs.served import RuntimeFiles
from zoo_registry.model.errors import InvalidQuery, NotFound, WrongUse, Yanked, ZooError
from zoo_registry.model.evaluate import main_metric
from zoo_registry.model.query import Query
from zoo_registry.model.ref import Ref
from zoo_registry.model.suggest import alike
from zoo_registry.model.summary import Summary
from zoo_registry.registry import Registry
from zoo_registry.routes.common import answering, may_read, registry_of
from zoo_registry.routes.params import Search, read
from zoo_registry.stores.layout import Release
from zoo_registry.web import data_sets, render, urls, views
from zoo_registry.web.artifact import artifact_page
from zoo_registry.web.compare import comparison
from zoo_registry.web.form import form
from zoo_registry.web.lab import Lab, Runtime, lab

MOST_COMPARED = 8
FAMILY = 100
MOST_NAMES = 500
_TITLES = {
    401: "This registry asks for a token",
    403: "This token does not reach that far",
    404: "Not found",
    410: "Withdrawn",
    422: "That cannot be understood",
}


def missing_page(request: Request, error: ZooError) -> HTMLResponse | None:
    """Show that an address leads nowhere: to a browser that does not ask for the API, else None."""
    api = request.url.path.startswith(("/v1/", "/api/"))
    wanted = "text/html" in request.headers.get("accept", "") and not api
    return error_page(request, error) if wanted else None


def error_page(request: Request, error: ZooError) -> HTMLResponse:
    """Show an error to a person.

    What was found, what to do next, and, to who may read, names near the one asked for.
    """
    nearest = _nearest(request) if error.status == NotFound.status and may_read(request) else ()
    title = _TITLES.get(error.status, "This did not work")
    return render.page(
        "error.html",
        error.status,
        title=title,
        message=error.message,
        hint=error.hint,
        nearest=nearest,
    )


def _nearest(request: Request) -> tuple[tuple[str, str], ...]:
    """Find the artifacts whose names are near the one in the path."""
    name = str(request.path_params.get("name", "")) or request.url.path.rpartition("/")[2]
    known = [item.name for item in registry_of(request).search(Query(), limit=MOST_NAMES).items]
    return tuple((found, urls.artifact(found)) for found in alike(name, known, 5))


router = APIRouter(route_class=answering(error_page, ZooError), include_in_schema=False)


@router.get("/")
def list_page(request: Request) -> Response:
    """Show what a budget allows.

    Fields left empty are taken out of the address, so that it can be used with the API. What cannot
    be understood is said above the form, which keeps what was typed.
    """
    given = tuple(request.query_params.multi_items())
    params = urls.clean(given)
    if params != given:
        return RedirectResponse(urls.address("/", params), status_code=303)
    registry, query, answers, problem = registry_of(request), Query(), views.NOTHING, None
    try:
        asked = read(Search, params)
        query, answers = asked.query, _ask(registry, asked)
    except WrongUse as error:
        problem = error
    view = views.listing(answers, params, query)
    base = str(request.base_url).rstrip("/")
    return render.page(
        "list.html",
        problem.status if problem else 200,
        view=view,
        fields=form(params, registry.facets()),
        query=query,
        problem=problem,
        rest=urls.get_command(base + view.rest_path),
    )


def _ask(registry: Registry, asked: Search) -> views.Answers:
    """Put one question in the three ways that the page answers: a page, the best, the front."""
    query = asked.query
    page = registry.search(query, limit=asked.limit, cursor=asked.cursor)
    answer = registry.resolve(query)
    chosen_on = answer.chosen.platform if answer.chosen else ""
    drawn_on = chosen_on or views.usual_platform(page.candidates)
    drawn = query.without_limits().model_copy(update={"platform": drawn_on or query.platform})
    metric = main_metric(query, page.candidates)
    points = registry.pareto(drawn, "latency_ms", metric) if page.candidates else ()
    return views.Answers(page, answer, data_sets.of_one_data_set(points, answer), drawn_on)


@router.get("/artifacts/{name}")
def latest_page(request: Request, name: str) -> Response:
    """Show the newest version of an artifact; the newest withdrawn one where all were."""
    registry = registry_of(request)
    try:
        release = registry.release(Ref.parse(name))
    except Yanked:
        release = registry.release(Ref.parse(f"{name}@{registry.versions(name)[0].version}"))
    return _artifact(request, release)


@router.get("/artifacts/{name}/{selector}")
def release_page(request: Request, name: str, selector: str) -> Response:
    """Show one version of an artifact, by version, alias or range."""
    return _artifact(request, registry_of(request).release(Ref.parse(f"{name}@{selector}")))


def _artifact(request: Request, release: Release) -> HTMLResponse:
    registry, item = registry_of(request), release.summary
    versions = registry.versions(item.name)
    family = registry.search(Query(model=item.model), limit=FAMILY).items
    return render.page(
        "artifact.html",
        view=artifact_page(release.record, item, release.measurements, family),
        versions=versions,
        newest=Ref(item.name).pick(one.version for one in versions if not one.yanked) or "",
        yank_reason=release.yank_reason,
        lab=_lab(request, [item], _same_version(registry, item, family)),
    )


def _same_version(
    registry: Registry, item: Summary, family: Sequence[Summary]
) -> Sequence[Summary]:
    """Choose the relatives to measure beside a release.

    Those built with it, where it is not among the latest.
    """
    if any(one.version == item.version and not one.techniques for one in family):
        return [one for one in family if one.version == item.version]
    every = registry.search(Query(model=item.model, all_versions=True), limit=FAMILY).items
    return [one for one in every if one.version == item.version]


def _lab(request: Request, chosen: Sequence[Summary], family: Sequence[Summary]) -> Lab | None:
    """Give what the page needs to measure in the visitor's browser."""
    files: RuntimeFiles = request.app.state.litertjs
    access: Access = request.app.state.access
    runtime = None
    with suppress(NotFound):
        runtime = Runtime(files.version, files.download)
    return lab(chosen, family, runtime, needs_token=not access.opens("measure"))


@router.get("/compare")
def compare_page(request: Request) -> Response:
    """Show artifacts side by side: `?ref=a@1.0.0&ref=b`."""
    refs = list(dict.fromkeys(urls.clean(request.query_params.multi_items())))
    chosen = [value for name, value in refs if name == "ref"]
    if len(chosen) > MOST_COMPARED:
        raise InvalidQuery(
            f"{len(chosen)} artifacts to compare; at most {MOST_COMPARED} fit side by side"
        )
    registry = registry_of(request)
    items = [registry.release(Ref.parse(ref)).summary for ref in chosen]
    floats = [one for item in items for one in _floats(registry, item)]
    return render.page("compare.html", view=comparison(items), lab=_lab(request, items, floats))


def _floats(registry: Registry, item: Summary) -> Sequence[Summary]:
    """Find the plain float releases that an artifact is compared with.

    They are those of its version, else the latest one.
    """
    asked = Query(model=item.model, technique="none")
    every = asked.model_copy(update={"all_versions": True})
    same = [
        one for one in registry.search(every, limit=FAMILY).items if one.version == item.version
    ]
    return same or registry.search(asked, limit=1).items
