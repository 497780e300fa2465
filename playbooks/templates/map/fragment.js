// SPDX-License-Identifier: GPL-3.0-or-later
// What the page shows is in the fragment of its address, so that it can be mailed: [NAME]@HOST of what is pointed at,
// and the view and the filters as KEY=VALUE, with "&" between them and all percent-encoded:
//
//   #web@host1                 #@host1                 #view=roots&q=nginx&state=up&problems=1&drift=1

const VIEWS = new Map([
  ["problems", { title: "Problems", build: problemView }],
  ["hosts", { title: "Hosts", build: hostView }],
  ["roots", { title: "Roots", build: rootView }],
  ["sharing", { title: "Sharing", build: sharingView }],
  ["drift", { title: "Drift", build: driftView }],
]);

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not by us, and cut off on the way
  }
}

function readFragment(fragment) {
  const shown = { view: "problems", target: "", q: "", state: "", problems: false, drift: false };
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const [, key, value] = /^(\w+)=(.*)$/s.exec(part) ?? [];
    if (key === "view" && VIEWS.has(decoded(value))) shown.view = decoded(value);
    else if (key === "q" || key === "state") shown[key] = decoded(value);
    else if (key === "problems" || key === "drift") shown[key] = value === "1";
    else if (!key && part) shown.target = addressFrom(part);
  }
  if (shown.target && !/(^#?|&)view=/.test(fragment)) shown.view = "hosts";
  return shown;
}

// As addressOf() makes it, also where a mailer has encoded the "@" as well.
function addressFrom(part) {
  const [name, host] = (part.includes("@") ? part : decoded(part)).split(/@(.*)/s);
  return addressOf(decoded(name), decoded(host ?? ""));
}

function writeFragment({ view, target, q, state, problems, drift }) {
  const parts = [
    target,
    view === (target ? "hosts" : "problems") ? "" : `view=${view}`,
    q && `q=${encodeURIComponent(q.toWellFormed())}`,
    state && `state=${encodeURIComponent(state.toWellFormed())}`,
    problems && "problems=1",
    drift && "drift=1",
  ];
  return `#${parts.filter(Boolean).join("&")}`;
}

// The hosts and namespaces that the filters let in. What is pointed at always is.
function choose(hosts, { q, state, problems, drift }, target) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (found) => words.every((word) => haystackOf(found).includes(word));
  const chosen = new Set();
  for (const host of hosts) {
    const fits =
      (!problems || host.problems.length > 0) && !drift && (!state || host.state === state);
    if (fits && has(host)) chosen.add(host);
    for (const each of host.namespaces) {
      if (state && each.state !== state) continue;
      if ((problems && !each.problems.length) || (drift && !each.differs)) continue;
      if (has(each)) chosen.add(each);
    }
  }
  if (target) chosen.add(target);
  return chosen;
}
