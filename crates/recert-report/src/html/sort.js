"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      const value = (row) => {
        const text = row.cells[column].textContent;
        const number = parseFloat(text.replaceAll(",", ""));
        return Number.isFinite(number) ? number : text;
      };
      const compare = (a, b) =>
        typeof a[0] === typeof b[0]
          ? (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)
          : (typeof a[0] === "number" ? 1 : -1);
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort((a, b) => (ascending ? compare(a, b) : compare(b, a)));
      body.append(...rows.map((pair) => pair[1]));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    });
  });
}
