// SPDX-License-Identifier: GPL-3.0-or-later
// The view of who shares what with whom. What is so on many hosts is one row.

// The namespaces of a host that have a kind in common.
function sharedOn(host) {
  const groups = new Map();
  for (const each of host.namespaces) {
    for (const kind of each.kinds) under(groups, identityOf(each, kind)).push({ each, ...kind });
  }
  const found = new Map();
  for (const members of groups.values()) {
    if (members.length < 2) continue;
    const owner = members.find(({ sharedWith }) => sharedWith)?.sharedWith ?? members[0].each.name;
    const others = members
      .map(({ each }) => each.name)
      .filter((name) => name !== owner)
      .sort(byText);
    const key = JSON.stringify([owner, others]);
    if (!found.has(key))
      found.set(key, { owner, others, kinds: [], host, about: members.map(({ each }) => each) });
    found.get(key).kinds.push(members[0].kind);
  }
  return [...found].map(([key, row]) => ({
    ...row,
    key: `${key} ${row.kinds.sort(byText).join(" ")}`,
  }));
}

// The interfaces of a host of which the other end is known; of a pair within it the one that is named first.
function cablesOn(host) {
  const found = new Map();
  for (const each of host.namespaces) {
    for (const { name: link, peer } of each.links) {
      if (!peer) continue;
      const ends = [
        [each.name, link],
        [peer.namespace, peer.name],
      ];
      const key = JSON.stringify([...ends].sort());
      const other = host.namespaces.find(({ name }) => name === peer.namespace);
      if (!found.has(key)) found.set(key, { key, ends, host, about: [each, other] });
    }
  }
  return [...found.values()];
}

function sharingOf(hosts) {
  return { shared: hosts.flatMap(sharedOn), cables: hosts.flatMap(cablesOn) };
}

// The rows that are about what the filters let in: one for all hosts where it is so.
function alike(rows, chosen) {
  const those = rows.filter(({ about }) => about.some((each) => chosen.has(each)));
  return [...Map.groupBy(those, ({ key }) => key).values()].map((same) => ({
    ...same[0],
    hosts: same.map(({ host }) => host),
  }));
}

function sharingView({ sharing, chosen }) {
  const shared = alike(sharing().shared, chosen);
  const cables = alike(sharing().cables, chosen);
  if (!shared.length && !cables.length)
    return make("p", { class: "empty" }, "Nothing here is shared or joined.");
  return make(
    "div",
    {},
    shared.length ? sharedTable(shared) : null,
    cables.length ? cableTable(cables) : null,
  );
}

function sharedTable(rows) {
  return table(
    "Namespaces that several names share",
    ["Whose", "Which", "Shared with", "Where"],
    rows.map(({ owner, others, kinds, hosts }) => [
      make("strong", {}, owner),
      joined(
        kinds.map((each) => badge(each, each === "net" ? "net (network)" : each)),
        " ",
      ),
      joined(
        others.map((each) => make("strong", {}, each)),
        ", ",
      ),
      subjectLinks(placesOf(hosts, owner)),
    ]),
  );
}

function cableTable(rows) {
  return table(
    "Interfaces and their other ends",
    ["Interface", "Of", "Other end", "Of", "Where"],
    rows.map(({ ends: [[name, link], [other, end]], hosts }) => [
      code(link),
      make("strong", {}, name),
      code(end),
      other ? make("strong", {}, other) : "the host",
      subjectLinks(placesOf(hosts, name)),
    ]),
  );
}

function placesOf(hosts, name) {
  return hosts.map((host) => ({
    subject: host.namespaces.find((each) => each.name === name) ?? host,
    note: "",
  }));
}
