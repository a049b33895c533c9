"""The looks of the report: one column, system fonts, light and dark, phone and paper."""

CSS = """
:root {
  --ink: #16202a; --soft: #5b6673; --line: #dfe4ea; --page: #ffffff; --card: #f5f7f9;
  --good: #00734f; --bad: #b23c00; --accent: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6eaee; --soft: #9aa6b2; --line: #313a44; --page: #14191f; --card: #1d242c;
    --good: #3ecf9b; --bad: #ff8a50; --accent: #56b4e9;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header p { margin: 0; color: var(--soft); }
h1 {
  font-size: clamp(1.45rem, 3.6vw, 2.1rem); line-height: 1.25; margin: .35rem 0 .6rem; font-weight: 650;
  text-wrap: balance;
}
h1 small {
  display: block; font-size: 1.1rem; line-height: 1.4; font-weight: 500; margin-top: .6rem; color: var(--ink);
}
h2 { font-size: 1.2rem; margin: 2.75rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul { max-width: 46rem; }
ul { padding-left: 1.2rem; }
li { margin: .2rem 0; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.note { color: var(--soft); font-size: .92rem; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .8rem;
  margin: 1.6rem 0 0; padding: 0; list-style: none; max-width: none;
}
.cards li { background: var(--card); border-radius: .6rem; padding: .9rem 1rem; margin: 0; }
.cards b {
  display: block; font-size: 1.75rem; line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums;
  white-space: nowrap;
}
.cards b small { font-size: .95rem; font-weight: 500; color: var(--soft); }
.cards span { font-size: .88rem; color: var(--soft); }
figure { margin: 1rem 0; }
figure img {
  display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .5rem;
}
figure .wide { margin: 0; }
figure.narrow { max-width: 26rem; }
@media (max-width: 40rem) { figure:not(.narrow) img { min-width: 42rem; } }
figcaption { font-size: .92rem; color: var(--soft); margin-top: .4rem; }
.wide {
  overflow-x: auto; margin: .8rem 0; /* a shadow at the side to which it scrolls */
  background:
    linear-gradient(to right, var(--page) 30%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--page) 30%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--soft), transparent) 0 0 / .35rem 100% no-repeat,
    linear-gradient(to left, var(--soft), transparent) 100% 0 / .35rem 100% no-repeat;
}
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; min-width: 60%; }
th, td { text-align: right; padding: .38rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; }
tbody th { color: var(--ink); font-weight: 500; }
th:first-child, td:first-child, table.words th, table.words td { text-align: left; }
th:first-child, td:first-child { padding-left: 0; }
td { white-space: nowrap; }
table.words td { white-space: normal; overflow-wrap: anywhere; }
tr.winner th, tr.winner td { font-weight: 650; }
pre { background: var(--card); padding: .7rem .9rem; border-radius: .5rem; overflow-x: auto; margin: .3rem 0 1rem; }
code, pre { font: .88rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); }
footer {
  margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .88rem; overflow-wrap: anywhere;
}
@media print {
  figure:not(.narrow) img { min-width: 0; }
  :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --card: #f2f2f2; --good: #00543a; --bad: #8a2e00; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  figure, table, .cards, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .wide { overflow: visible; background: none; }
  .cards { grid-template-columns: repeat(4, 1fr); }
}
"""
