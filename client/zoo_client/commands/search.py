"""`zoo search`: what fits a budget, and when nothing does, what almost fits."""

from typing import Annotated

import typer
from rich.text import Text

from zoo_client import listing
from zoo_client.commands.options import BudgetCommand, From, Json, budget, updated
from zoo_client.output import console, emit_json, remark
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.answers import Page
from zoo_registry.model.query import Query

VERB = {
    "group": "Everyone",
    "rank": 10,
    "help": "Find artifacts by task, technique, device and budget.",
    "call": "app",
}

app = typer.Typer(add_completion=False)

Words = Annotated[
    list[str] | None, typer.Argument(help="Words that the name or description must contain.")
]
Sort = Annotated[
    str,
    typer.Option(
        "--sort",
        help="name, newest, latency, ratio, size, size_gzip or a metric; -top1 for the best first.",
    ),
]
Pareto = Annotated[
    bool, typer.Option("--pareto", help="Only what nothing else beats in both quality and latency.")
]
AllVersions = Annotated[
    bool, typer.Option("--all-versions", help="Every version, not only the newest.")
]
WithYanked = Annotated[bool, typer.Option("--yanked", help="Withdrawn ones too.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="Rows a page.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Where the last page ended.")]


@app.command("search", cls=BudgetCommand)
@budget
def search(  # noqa: PLR0913  the options of the command
    *,
    query: Query,
    words: Words = None,
    sort: Sort = "name",
    pareto: Pareto = False,
    all_versions: AllVersions = False,
    yanked: WithYanked = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    url: From = None,
    as_json: Json = False,
) -> None:
    """Find artifacts by task, technique, device and budget.

    When nothing fits, near misses are shown (exit code 1).
    """
    asked = {
        "q": " ".join(words or ()),
        "sort": sort,
        "pareto": pareto,
        "all_versions": all_versions,
        "yanked": yanked,
    }
    query = updated(query, asked)
    remote = open_remote(url, Settings.read())
    page = remote.search(query, limit=limit, cursor=cursor)
    if as_json:
        emit_json(page)
    else:
        _show(page, query, remote.url)
    if not page.items:
        raise typer.Exit(1)


def _show(page: Page, query: Query, url: str) -> None:
    out = console()
    if page.items:
        for part in listing.by_platform(page.items, query, out.width):
            out.print(part)
        if told := listing.apart(page.datasets):
            remark(told)
        if page.next_cursor:
            remark(f"there are more: zoo search … --cursor {page.next_cursor}")
    elif page.unmeasured is not None:
        out.print(Text(f"Nothing fits: {page.unmeasured.message}."))
        remark(f"{page.unmeasured.bench}   # measures it here")
        remark("zoo search … --device any   # what others measured elsewhere")
    elif page.near_misses:
        out.print("Nothing fits. The nearest:\n")
        out.print(listing.near(page.near_misses))
        if query.platform:
            remark("zoo search … --device any   # what others measured on other machines")
    else:
        remark(f"nothing matches in {url}; with fewer filters there may be more: zoo search")
