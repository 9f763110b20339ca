// A click on the head of a column sorts by it, downwards first; what is empty comes last.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const shown = cell => cell.textContent.trim().replace(/^(–|not defined.*)$/, "");
  const text = (row, column) => row.cells[column].dataset.key ?? shown(row.cells[column]);
  const number = text => parseFloat(text.replace("−", "-").replaceAll(",", ""));
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const sign = head.ariaSort === "descending" ? 1 : -1;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const compare = (a, b) => a === "" || b === "" ? (a === "") - (b === "")
      : sign * (isNaN(number(a)) || isNaN(number(b)) ? a.localeCompare(b) : number(a) - number(b));
    body.append(...[...body.rows].sort((a, b) => compare(text(a, column), text(b, column))));
  }));
}
// What is folded opens where a link leads, and on paper.
const unfold = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
const folded = [...document.querySelectorAll("main > details")];
let closed = [];
addEventListener("beforeprint", () => { closed = folded.filter(part => !part.open); closed.forEach(part => part.open = true); });
addEventListener("afterprint", () => closed.forEach(part => part.open = false));
