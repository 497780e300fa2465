// SPDX-License-Identifier: GPL-3.0-or-later
// What the views are made of.

// A sign beside each word, since not everyone sees the colour.
const SIGNS = {
  up: "●",
  partial: "◐",
  down: "○",
  failed: "✖",
  error: "✖",
  warning: "▲",
  note: "◆",
};
const TONES = {
  up: "good",
  ok: "good",
  started: "good",
  current: "good",
  failed: "bad",
  unreachable: "bad",
  error: "bad",
  partial: "bad",
  missing: "bad",
  down: "warn",
  warning: "warn",
  differs: "warn",
  surplus: "warn",
  starting: "warn",
  [OLD]: "warn",
  [ODD]: "warn",
  "not asked": "warn",
};

function badge(word, shown = word || "unknown") {
  const tone = Object.hasOwn(TONES, word) ? TONES[word] : "plain";
  const sign = Object.hasOwn(SIGNS, word) ? SIGNS[word] : null;
  return make(
    "span",
    { class: `badge ${tone}` },
    sign && make("span", { "aria-hidden": "true" }, `${sign} `),
    shown,
  );
}

// How many problems of which rank, as badges.
function problemBadges(problems) {
  return RANKS.map((name, rank) => [name, problems.filter((each) => each.rank === rank).length])
    .filter(([, number]) => number > 0)
    .map(([name, number]) => badge(name, counted(number, name)));
}

function linkTo(subject) {
  const name = subject.host ? `${subject.name}@${subject.host.name}` : subject.name;
  return make("a", { href: `#${subject.address}` }, name || "(no name)");
}

// A namespace of the same host by its name, as a link where there is one.
function named(host, name) {
  const found = host.namespaces.find((each) => each.name === name);
  return found ? make("a", { href: `#${found.address}` }, name) : name;
}

// What is folded away is built when it is first opened.
const unbuilt = new WeakMap();

function fold(name, summary, build, isOpen = false) {
  const made = make("details", { class: name }, make("summary", {}, summary));
  unbuilt.set(made, build);
  made.addEventListener("toggle", () => made.open && unfold(made));
  if (isOpen) unfold(made);
  return made;
}

function unfold(details) {
  const build = unbuilt.get(details);
  unbuilt.delete(details);
  if (build) details.append(build());
  details.open = true;
}

function unfoldAll(root) {
  for (const each of root.querySelectorAll("details:not([open])")) {
    unfold(each);
    unfoldAll(each);
  }
}

// Long lists: what fits a screen at once, the rest whenever the browser has nothing else to do.
const AT_ONCE = 40;
let waiting = [];
let timer = 0;

function fill(parent, items, build) {
  parent.append(...items.slice(0, AT_ONCE).map(build));
  if (items.length > AT_ONCE) waiting.push({ parent, items: items.slice(AT_ONCE), build });
  if (waiting.length) timer ||= setTimeout(fillNext);
  return parent;
}

function fillNext() {
  timer = 0;
  const next = waiting.shift();
  if (next) fill(next.parent, next.items, next.build);
}

function fillAll() {
  for (let next; (next = waiting.shift());) next.parent.append(...next.items.map(next.build));
}

function forgetRest() {
  waiting = [];
}

// Which hosts or namespaces something is about, with what is said of each.
const FEW = 8;

function subjectList(subjects) {
  const made = make("div", {}, subjectLinks(subjects));
  if (subjects.length > 1) {
    made.append(
      fold("more", "as a pattern for --limit", () =>
        command(patternOf(subjects.map(({ subject }) => subject))),
      ),
    );
  }
  return made;
}

function subjectLinks(subjects) {
  const item = ({ subject, note }) =>
    make("li", {}, linkTo(subject), note ? muted(` ${note}`) : null);
  const built = (those) =>
    fill(
      make("ul", { class: subjects.some(({ note }) => note) ? "subjects noted" : "subjects" }),
      those,
      item,
    );
  if (subjects.length <= FEW + 2) return built(subjects);
  const rest = `and ${grouped(subjects.length - FEW)} more`;
  return make(
    "div",
    {},
    built(subjects.slice(0, FEW)),
    fold("more", rest, () => built(subjects.slice(FEW))),
  );
}

// The hosts of these, as Ansible takes them.
const patternOf = (subjects) => [...hostsOf(subjects)].map(({ name }) => name).join(",");

function hostsOf(subjects) {
  return new Set(subjects.map((each) => each.host ?? each));
}

// Rows of cells under these headings; a cell is text or an element, or a list of such.
function table(caption, headings, rows) {
  const body = make("tbody", {});
  fill(body, rows, (row) =>
    make(
      "tr",
      {},
      row.map((cell, at) => make("td", { "data-label": headings[at] }, cell)),
    ),
  );
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        headings.map((each) => make("th", { scope: "col" }, each)),
      ),
    ),
    body,
  );
}
