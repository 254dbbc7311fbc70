/**
 * STYLE is the style sheet of all pages of the console: dark or light as the system is, from 390 pixels on.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#ffffff, #14171c);
  --raised: light-dark(#f4f5f7, #1d2129);
  --line: light-dark(#d5d9e0, #343b47);
  --text: light-dark(#1b1f24, #e4e7ec);
  --quiet: light-dark(#59616e, #a0a8b5);
  --link: light-dark(#0a58ca, #7db4ff);
  --good: light-dark(#176639, #6fd59a);
  --bad: light-dark(#b3261e, #ff9d94);
  --busy: light-dark(#0b5394, #86bbff);
  --late: light-dark(#7a4d00, #f0c060);
  font: 1rem/1.5 system-ui, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.bar { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; align-items: center;
  padding: 0.5rem 1rem; border-bottom: 1px solid var(--line); }
.bar strong a { color: inherit; text-decoration: none; }
.bar nav { display: flex; flex-wrap: wrap; gap: 0.25rem 0.5rem; }
.bar nav a { padding: 0.125rem 0.5rem; border-radius: 0.375rem; text-decoration: none; }
.bar nav a:hover { text-decoration: underline; }
.bar nav a[aria-current] { background: var(--raised); color: var(--text); font-weight: 600; box-shadow: inset 0 -2px var(--link); }
.bar .tools { margin-left: auto; }
.bar form { margin: 0; }
.bar button { padding: 0.125rem 0.625rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { position: static; }
main { max-width: 75rem; margin: 0 auto; padding: 1rem; outline: none; }
h1 { font-size: 1.375rem; line-height: 1.3; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.0625rem; margin: 1.5rem 0 0.5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.875em; overflow-wrap: anywhere; }
.quiet, .timeline { color: var(--quiet); }
.badge { display: inline-block; padding: 0.125rem 0.625rem; border: 1px solid currentcolor; border-radius: 1rem; font-weight: 600; }
.completed { color: var(--good); }
.failed { color: var(--bad); }
.active { color: var(--busy); }
.delayed, .waiting { color: var(--late); }
.cancelled { color: var(--quiet); }
.reason { margin: 0.5rem 0; padding: 0.5rem 0.75rem; border-left: 4px solid currentcolor; background: var(--raised); overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.5rem 1rem; margin: 1rem 0; }
.facts .long { grid-column: span 2; }
.facts dt { color: var(--quiet); font-size: 0.8125rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.timeline { margin: 1rem 0; padding-left: 1.25rem; overflow-wrap: anywhere; }
.text, .markdown, pre { background: var(--raised); border: 1px solid var(--line); border-radius: 0.375rem; padding: 0.75rem; overflow-wrap: anywhere; }
.text, pre { white-space: pre-wrap; margin: 0; }
.text, .markdown { overflow-x: auto; }
.markdown > :first-child { margin-top: 0; }
.markdown > :last-child { margin-bottom: 0; }
.markdown pre { border: 0; padding: 0.5rem; background: var(--ground); }
.markdown table { border-collapse: collapse; }
.markdown :is(td, th) { border: 1px solid var(--line); padding: 0.25rem 0.5rem; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; }
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: start; margin: 1rem 0; }
.actions :is(form, details) { margin: 0; }
button, select, input, textarea { font: inherit; padding: 0.375rem 0.75rem; max-width: 100%; border: 1px solid var(--line); border-radius: 0.375rem;
  background: var(--raised); color: var(--text); }
button, .actions summary { cursor: pointer; }
.actions summary { padding: 0.375rem 0.875rem; border: 1px solid var(--line); border-radius: 0.375rem; }
.actions details[open] summary { margin-bottom: 0.5rem; }
button.danger { color: var(--bad); border-color: currentcolor; }
.head { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; justify-content: space-between; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.75rem 1rem; }
.card h2 { margin: 0; overflow-wrap: anywhere; }
.card .facts { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); margin: 0.75rem 0 0; }
.card form { margin: 0.75rem 0 0; }
.sparks { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: 0.75rem 0 0; }
.sparks figure { margin: 0; min-width: 0; }
.sparks svg { display: block; width: 100%; height: 2.5rem; border-bottom: 1px solid var(--line); }
.sparks figcaption { color: var(--quiet); font-size: 0.8125rem; }
.sparks .good { fill: var(--good); }
.sparks .bad { fill: var(--bad); }
.sparks .late { fill: var(--late); }
.days { margin: 1rem 0; }
.days svg { display: block; width: 100%; height: 7rem; border-bottom: 1px solid var(--line); }
.days .busy { fill: var(--busy); }
.days figcaption { display: flex; justify-content: space-between; gap: 1rem; color: var(--quiet); font-size: 0.8125rem; }
progress { display: block; width: 100%; height: 0.75rem; margin-top: 0.25rem; }
meter { display: block; width: 100%; min-width: 4rem; height: 0.75rem; }
.filters { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: end; margin: 1rem 0; }
.filters > details { margin: 0; }
.filters > :is(a, details:not([open])), .actions > :is(a, .quiet) { padding: 0.4375rem 0; }
:is(button, select, input):not([type="checkbox"]) { min-height: 2.375rem; }
.bar button { min-height: 0; }
.head .filters { margin: 0; }
mark { background: var(--late); color: var(--ground); border-radius: 0.125rem; }
.field { display: block; margin: 0.75rem 0; }
.field textarea { display: block; width: 100%; resize: vertical; }
::placeholder { color: var(--quiet); opacity: 1; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.list { width: 100%; border-collapse: collapse; }
.list :is(td, th) { padding: 0.375rem 1rem 0.375rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
.list th { color: var(--quiet); font-size: 0.8125rem; font-weight: 600; }
.list .wide { width: 100%; white-space: normal; overflow-wrap: anywhere; }
.list .number { text-align: right; font-variant-numeric: tabular-nums; }
.list tbody tr:focus-within { background: var(--raised); }
dialog { border: 1px solid var(--line); border-radius: 0.5rem; background: var(--ground); color: var(--text); max-width: min(28rem, calc(100vw - 2rem)); }
dialog::backdrop { background: rgb(0 0 0 / 50%); }
dialog h2 { margin-top: 0; }
.keys > div { display: flex; gap: 1rem; padding: 0.125rem 0; }
.keys dt { flex: 0 0 4.5rem; }
.keys dd { margin: 0; }
kbd { font: inherit; font-family: ui-monospace, monospace; padding: 0 0.375rem; border: 1px solid var(--line); border-radius: 0.25rem; background: var(--raised); }
@media (max-width: 70rem) {
  .list .id { display: none; }
}
@media (max-width: 40rem) {
  .lesser { display: none; }
  .list.plain :is(td, th) { white-space: normal; overflow-wrap: anywhere; padding-right: 0.5rem; }
  .list.plain :is(th, .number) { overflow-wrap: normal; white-space: nowrap; }
  .list.plain meter { min-width: 2rem; }
  #show-keys { display: none; }
  .list:not(.plain) thead { display: none; }
  .list:not(.plain), .list:not(.plain) tbody { display: block; }
  .list:not(.plain) tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0.375rem 0; border-bottom: 1px solid var(--line); }
  .list:not(.plain) td { border: 0; padding: 0; color: var(--quiet); }
  .list:not(.plain) .wide { color: inherit; order: -1; }
}
`;
