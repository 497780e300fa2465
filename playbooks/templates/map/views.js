// SPDX-License-Identifier: GPL-3.0-or-later
// The views of problems, hosts, roots and drift. Each makes its elements from the hosts and namespaces that the
// filters let in: `chosen` of fragment.js.

function problemView({ problems, chosen }) {
  const shown = problems
    .map((each) => ({
      ...each,
      subjects: each.subjects.filter(({ subject }) => chosen.has(subject)),
    }))
    .filter(({ subjects }) => subjects.length);
  if (!shown.length) return make("p", { class: "empty" }, "✔ No problems.");
  return fill(make("ol", { class: "cards" }), shown, problemCard);
}

function problemCard({ rank, title, reason, todo, subjects: noted }) {
  const subjects = noted.map(({ subject }) => subject);
  return make(
    "li",
    { class: `card ${TONES[RANKS[rank]] ?? "plain"}` },
    make(
      "h2",
      {},
      badge(RANKS[rank]),
      " ",
      title,
      " ",
      muted(`on ${counted(hostsOf(subjects).size, "host")}`),
    ),
    reason ? make("p", { class: "reason" }, reason) : null,
    make("p", { class: "todo" }, todo(subjects.length > FEW ? "HOSTS" : patternOf(subjects))),
    subjectList(noted),
  );
}

// Those with the worst problems first, as the hosts are from the beginning.
function byProblems(one, other) {
  return worst(one.problems) - worst(other.problems) || byText(one.name, other.name);
}

// With so few, one wants to see into them.
const OPEN_HOSTS = 4;
const OPEN_NAMESPACES = 1;

function hostView({ hosts, chosen, opened, target }) {
  const pointedAt = target?.host ?? target;
  const others = hosts.filter(
    (host) =>
      host !== pointedAt && (chosen.has(host) || host.namespaces.some((each) => chosen.has(each))),
  );
  const shown = pointedAt ? [pointedAt, ...others] : others;
  const number = shown.reduce(
    (sum, host) => sum + host.namespaces.filter((each) => chosen.has(each)).length,
    0,
  );
  const isOpen = {
    host: ({ address }) =>
      opened.get(address) ?? (shown.length <= OPEN_HOSTS || address === pointedAt?.address),
    namespace: ({ address }) =>
      opened.get(address) ?? (number <= OPEN_NAMESPACES || address === target?.address),
  };
  const item = (host) => make("li", {}, hostItem(host, chosen, opened, isOpen));
  return fill(make("ul", { class: "hosts" }), shown, item);
}

function hostItem(host, chosen, opened, isOpen) {
  const shown = host.namespaces.filter((each) => chosen.has(each)).sort(byProblems);
  const summary = [
    make("span", { class: "name" }, host.name),
    make(
      "span",
      { class: "badges" },
      host.state === "ok" ? null : badge(host.state),
      ...problemBadges([...new Set(host.problems)]),
    ),
    make(
      "span",
      { class: "muted" },
      host.state === "ok" ? inStates(host.namespaces, shown.length) : host.reason,
    ),
  ];
  const build = () =>
    make(
      "div",
      { class: "body" },
      host.state === "ok" ? hostFacts(host) : problemLines(host.problems, host),
      shown.map((each) => namespaceItem(each, opened, isOpen)),
    );
  return remembered(fold("host", summary, build, isOpen.host(host)), host, opened);
}

function inStates(namespaces, shown) {
  const counts = Map.groupBy(namespaces, ({ state }) => state);
  const states = [...counts].map(([state, those]) => `${those.length} ${state}`).join(", ");
  const all = counted(namespaces.length, "namespace");
  return [shown < namespaces.length ? `${shown} of ${all}` : all, states]
    .filter(Boolean)
    .join(": ");
}

function namespaceItem(found, opened, isOpen) {
  const { host, name, state, kinds, generation, services, differs } = found;
  const summary = [
    badge(state),
    make("span", { class: "name" }, name, make("span", { class: "sr" }, ` on ${host.name}`)),
    make(
      "span",
      { class: "kinds" },
      kinds.map(({ kind, sharedWith }) => code(sharedWith ? `${kind} of ${sharedWith}` : kind)),
    ),
    make(
      "span",
      { class: "root" },
      generation ? [generation.source, " ", muted(shortened(generation.digest))] : "",
    ),
    make(
      "span",
      { class: "badges" },
      services.map((each) => badge(each.state, `${each.name} ${each.state}`)),
      differs ? badge("differs", "drift") : null,
    ),
  ];
  return remembered(
    fold("namespace", summary, () => detailsOf(found), isOpen.namespace(found)),
    found,
    opened,
  );
}

// What someone has opened or closed stays so when the filters change.
function remembered(details, { address }, opened) {
  details.dataset.address = address;
  details.firstElementChild.addEventListener("click", () => opened.set(address, !details.open));
  return details;
}

function rootView({ roots, chosen }) {
  const groups = roots
    .map(({ source, versions }) => ({
      source,
      versions: versions.filter(({ members }) => members.some((each) => chosen.has(each))),
      of: versions.length,
    }))
    .filter(({ versions }) => versions.length)
    .sort((one, other) => (other.of > 1) - (one.of > 1) || byText(one.source, other.source));
  if (!groups.length)
    return make("p", { class: "empty" }, "No namespace here has a root of its own.");
  return fill(make("ul", { class: "cards" }), groups, (group) => rootCard(group, chosen));
}

function rootCard({ source, versions, of }, chosen) {
  const rows = versions.map(({ digest, verdict, members }) => {
    const those = members
      .filter((each) => chosen.has(each))
      .map((subject) => ({ subject, note: `(${subject.generation.number})` }));
    const number = counted(those.length, "namespace");
    // Of those that are as they should be, few ask where.
    const isOrdinary = verdict === CURRENT && those.length > 1;
    return [
      verdict === CURRENT && of === 1 ? badge("ok", "same everywhere") : badge(verdict),
      digest ? code(digest) : "no digest",
      isOrdinary ? fold("more", number, () => subjectList(those)) : [number, subjectList(those)],
    ];
  });
  return make(
    "li",
    { class: `card roots ${of > 1 ? "warn" : "good"}` },
    make("h2", {}, source || "Source not known", " ", muted(counted(of, "digest"))),
    table("Digests of this source", ["", "Digest", "Where (generation)"], rows),
  );
}

function driftView({ all, chosen }) {
  const groups = new Map();
  for (const each of all) {
    if (!each.differs || !chosen.has(each)) continue;
    const { name, changes, differing } = each;
    under(groups, JSON.stringify([name, changes, differing])).push(each);
  }
  if (!groups.size) return make("p", { class: "empty" }, "✔ What lives is as its definition says.");
  const sorted = [...groups.values()].sort(
    (one, other) => other.length - one.length || byText(one[0].name, other[0].name),
  );
  return fill(make("ul", { class: "cards" }), sorted, driftCard);
}

function driftCard(alike) {
  const [{ host, name, changes, differing }] = alike;
  const {
    mount: mounts = [],
    link: links = [],
    file = [],
    service = [],
  } = Object.groupBy(differing, ({ what }) => what);
  const others = [...file, ...service];
  return make(
    "li",
    { class: "card warn" },
    make("h2", {}, name, " ", muted(`on ${counted(alike.length, "host")}`)),
    mounts.length ? differenceTable("Mounts", "Path", mounts) : null,
    links.length ? linkTable(host, links) : null,
    others.length ? otherTable(others) : null,
    changes.length
      ? make(
          "div",
          {},
          command("nsctl", "up", name),
          " would:",
          make(
            "ul",
            { class: "steps" },
            changes.map((each) => make("li", {}, each)),
          ),
        )
      : null,
    make("p", { class: "todo" }, remedyOfDifferences(alike[0])),
    subjectList(alike.map((subject) => ({ subject, note: "" }))),
  );
}
