// SPDX-License-Identifier: GPL-3.0-or-later
// Which of the roots that are to be alike is the odd one out.

const CURRENT = "current";
const OLD = "old";
const ODD = "odd one out";
const UNCLEAR = "differs";

// The verdict on each version. `members` has for each the namespaces whose root is of it, and `keyOf` makes the key of
// a version out of a generation.
//
// A digest says nothing of its age. A generation that came after another does: what one host has left behind is old
// wherever it still serves. Where no host tells, what fewer have is the odd one out.
function verdicts(members, keyOf) {
  const left = new Map();
  for (const [key, namespaces] of members) {
    left.set(key, new Set());
    for (const { generation } of namespaces) {
      for (const each of generation.before) {
        if (each.number < generation.number) left.get(key).add(keyOf(each));
      }
    }
  }
  const isOld = (key) =>
    [...left].some(([other, behind]) => behind.has(key) && !left.get(key).has(other));
  const found = new Map([...members.keys()].filter(isOld).map((key) => [key, OLD]));
  const rest = [...members.keys()].filter((key) => !found.has(key));
  const most = Math.max(...rest.map((key) => members.get(key).length));
  const leading = rest.filter((key) => members.get(key).length === most);
  for (const key of rest) {
    const isLeading = members.get(key).length === most;
    found.set(key, !isLeading ? ODD : leading.length === 1 ? CURRENT : UNCLEAR);
  }
  return found;
}

// The namespaces with a root of their own by what `groupOf` says, and within that by version.
function rootsBy(namespaces, groupOf, keyOf) {
  const groups = new Map();
  for (const each of namespaces) {
    if (!each.generation?.madeOf) continue;
    const group = groupOf(each);
    if (!groups.has(group)) groups.set(group, new Map());
    under(groups.get(group), keyOf(each.generation)).push(each);
  }
  return groups;
}

// The roots of each source, with the digests there are of it, the latest first.
function rootsBySource(namespaces) {
  return [
    ...rootsBy(
      namespaces,
      (each) => each.generation.source,
      ({ madeOf }) => madeOf,
    ),
  ].map(([source, members]) => {
    const found = verdicts(members, ({ madeOf }) => madeOf);
    const versions = [...members].map(([madeOf, those]) => ({
      digest: versionOf(madeOf).digest,
      verdict: found.get(madeOf),
      members: those,
    }));
    const order = [CURRENT, UNCLEAR, ODD, OLD];
    versions.sort((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
    return { source, versions };
  });
}

// Those whose name has a root of another source elsewhere: the name, its sources, and their verdicts.
function namesOfSeveralSources(namespaces) {
  return [
    ...rootsBy(
      namespaces,
      (each) => each.name,
      ({ source }) => source,
    ),
  ]
    .filter(([, members]) => members.size > 1)
    .map(([name, members]) => ({
      name,
      members,
      verdicts: verdicts(members, ({ source }) => source),
    }));
}
