"""Makes the notebook of docs/getting-started.md: `python notebook.py` writes it, so that page and notebook say
the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "getting-started.md"
NOTEBOOK = ROOT / "examples" / "getting-started.ipynb"


def cells(page: str) -> list[tuple[str, str]]:
    """The page in parts: `code` for what is in blocks of Python, `markdown` for what is between them."""
    parts = re.split(r"^```python\n(.*?)^```\n", page, flags=re.DOTALL | re.MULTILINE)
    kinds = ("code" if i % 2 else "markdown" for i in range(len(parts)))
    return [(kind, part.strip("\n")) for kind, part in zip(kinds, parts) if part.strip()]


def notebook(page: str) -> str:
    """The notebook as JSON, without outputs."""
    # Links of the page are relative to docs/.
    page = page.replace("](../", "](").replace("](python.md", "](docs/python.md").replace("](", "](../")
    page = re.sub(r" The same as a notebook: .*", "", page)
    made = []
    for number, (kind, text) in enumerate(cells(page)):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = text.splitlines(keepends=True)
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        made.append(cell)
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": python}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(PAGE.read_text()))
