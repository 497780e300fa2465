// SPDX-License-Identifier: GPL-3.0-or-later
// The page as a whole.

const { made, hosts } = readData();
const all = hosts.flatMap((host) => host.namespaces);
const roots = rootsBySource(all);
const problems = problemsOf(hosts, roots, all);
hosts.sort(byProblems);
const sharing = once(() => sharingOf(hosts));
const targets = new Map([...hosts, ...all].map((each) => [each.address, each]));
const opened = new Map();
let shown = readFragment(location.hash);

const byId = (id) => document.getElementById(id);
const main = byId("main");
const search = byId("search");

function render() {
  forgetRest();
  const target = targets.get(shown.target) ?? null;
  const chosen = choose(hosts, shown, target);
  main.replaceChildren(
    VIEWS.get(shown.view).build({ hosts, all, roots, sharing, problems, chosen, opened, target }),
  );
  byId("status").replaceChildren(...statusWords(chosen, target));
  document.title = `${target ? `${target.name} · ` : ""}${VIEWS.get(shown.view).title} · Namespaces`;
  for (const link of byId("views").querySelectorAll("a")) {
    link.href = writeFragment({ ...shown, target: "", view: link.dataset.view });
    if (link.dataset.view === shown.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function statusWords(chosen, target) {
  const those = [...chosen];
  const namespaces = those.filter((each) => each.host).length;
  const where = `${grouped(hostsOf(those).size)} of ${counted(hosts.length, "host")}`;
  const words = [`${grouped(namespaces)} of ${counted(all.length, "namespace")} on ${where}.`];
  if (shown.target && !target) words.unshift(`${decoded(shown.target)} is not on this page. `);
  if (shown.q || shown.state || shown.problems || shown.drift) {
    words.push(
      " ",
      make(
        "a",
        { href: writeFragment({ ...shown, q: "", state: "", problems: false, drift: false }) },
        "Show all",
      ),
    );
  }
  return words.map((each) => (typeof each === "string" ? visible(each) : each));
}

// The controls as the fragment says, and what it points at in sight.
function follow() {
  shown = readFragment(location.hash);
  search.value = shown.q;
  byId("state").value = shown.state;
  byId("problems").checked = shown.problems;
  byId("drift").checked = shown.drift;
  const target = targets.get(shown.target);
  for (const each of [target, target?.host]) if (each) opened.delete(each.address);
  render();
  if (!target) return;
  const there = [...main.querySelectorAll("details")].find(
    (each) => each.dataset.address === target.address,
  );
  there?.firstElementChild.focus({ preventScroll: true });
  there?.scrollIntoView();
}

function filter() {
  shown = {
    ...shown,
    target: "",
    q: search.value,
    state: byId("state").value,
    problems: byId("problems").checked,
    drift: byId("drift").checked,
  };
  history.replaceState(null, "", writeFragment(shown));
  render();
}

function header() {
  const seen = hosts.filter(({ state }) => state === "ok").length;
  const states = Map.groupBy(
    [...hosts.filter(({ state }) => state !== "ok"), ...all],
    ({ state }) => state,
  );
  const order = [
    ...new Set(["unreachable", "failed", "not asked", ...STATES, ...states.keys()]),
  ].filter((state) => states.has(state));
  byId("made").append(made && `As of ${visible(made.replace("T", " ").replace("Z", " UTC"))}`);
  const count = (fragment, ...words) => make("li", {}, make("a", { href: fragment }, words));
  byId("counts").append(
    count(
      "#view=problems",
      make("strong", {}, grouped(problems.length)),
      problems.length === 1 ? " problem" : " problems",
    ),
    count(
      "#view=hosts",
      make("strong", {}, grouped(hosts.length)),
      ` hosts, ${grouped(hosts.length - seen)} not seen`,
    ),
    count("#view=hosts", make("strong", {}, grouped(all.length)), " namespaces"),
    ...order.map((state) =>
      count(
        writeFragment({ view: "hosts", state }),
        badge(state),
        " ",
        make("strong", {}, grouped(states.get(state).length)),
      ),
    ),
  );
  byId("state").append(
    make("option", { value: "" }, "any"),
    ...order.map((state) => make("option", { value: state }, state)),
  );
  byId("views").append(
    ...[...VIEWS].map(([view, { title }]) =>
      make("li", {}, make("a", { href: "#", "data-view": view }, title)),
    ),
  );
}

// What is searched is put together while nobody waits for it.
function prepareSearch(rest) {
  for (const each of rest.splice(0, 100)) haystackOf(each);
  if (rest.length) setTimeout(prepareSearch, 0, rest);
}

function onKey(event) {
  const isTyping = event.target.matches("input, select");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && search.value) {
    event.preventDefault();
    search.value = "";
    filter();
  }
}

byId("filters").addEventListener("input", filter);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // its fragment would be taken for what is pointed at
  main.focus();
});
document.addEventListener("keydown", onKey);
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => {
  do {
    fillAll();
    unfoldAll(main);
  } while (waiting.length);
});
addEventListener("afterprint", render);
header();
follow();
prepareSearch([...hosts, ...all]);
