// What the bars show, by class or by kind, with no page in it. A kind is a superclass of the teacher's classes.
//
// Both views return { rows, atoms, total }: the rows from top to bottom; the atoms, which share out all probability,
// with the winner among them; and how many rows there are when all are shown.

/**
 * Kinds with the indices of their classes; null when there are none. The relatives, if any, come first, in their own
 * order; the others follow in the order in which the classes name them.
 */
function kindsOf(superclasses, relatives) {
  if (!superclasses) return null;
  const members = new Map();
  superclasses.forEach((name, i) => members.set(name, [...(members.get(name) ?? []), i]));
  if (members.size < 2 || members.size === superclasses.length) return null;
  return [...new Set([...relatives, ...members.keys()])].map((name) => ({
    name, members: members.get(name), relative: relatives.includes(name) }));
}

/** Indices in class order, or sorted by `ranks`, which have the winner in: lights off moves no row. */
function inOrder(kept, ranks, sort) {
  return kept.sort((a, b) => (sort && ranks[b] - ranks[a]) || a - b);
}

/**
 * Indices of the kinds to show. When the likeliest is one of the relatives, all of them are shown, and of the others
 * those with a share at T = 1 that is worth a row; else the likeliest ones.
 */
function shownKinds(kinds, kindLogits, data, all) {
  if (all || kinds.length <= data.top_kinds) return kinds.map((_, i) => i);
  const likeliest = largest(kindLogits, data.top_kinds);
  if (!kinds[argmax(kindLogits)].relative) return likeliest;
  const relatives = kinds.flatMap(({ relative }, i) => (relative ? [i] : []));
  const least = Math.log(data.least_share) + logSumExp(kindLogits);
  const others = kindLogits.map((z, i) => (kinds[i].relative || z < least ? -Infinity : z));
  const added = largest(others, Math.max(0, data.top_kinds - relatives.length)).filter((i) => others[i] > -Infinity);
  return [...relatives, ...added];
}

const sumOf = (values, members) => members.reduce((total, i) => total + values[i], 0);

function classView(data, hand) {
  const logits = data.logits[hand.frame];
  const winner = argmax(logits);
  const without = hand.off ? [winner] : [];
  const logProbs = logSoftmax(logits, hand.temperature);
  const shares = logSoftmax(logits, hand.temperature, without).map(Math.exp);
  const posterior = data.posterior && data.posterior[hand.frame];
  const truth = posterior && withoutClasses(posterior, without);
  const kept = inOrder(largest(logits, hand.all.classes ? logits.length : data.top), logits, hand.sort);
  const rows = kept.map((i) => ({
    id: `class:${i}`, name: data.class_names[i], p: shares[i], truth: truth && truth[i], top: i === winner,
    gone: hand.off && i === winner }));
  if (kept.length < logits.length) {
    const p = Math.max(0, 1 - sumOf(shares, kept));
    rows.push({ id: "rest", name: fill(data.texts.others, { count: logits.length - kept.length }), p, rest: true });
  }
  return { rows, atoms: { logProbs, winner, name: data.class_names[winner], truth: posterior }, total: logits.length };
}

/**
 * The kinds that are shown and, last, everything else as one: a partition of the classes. Sum first: the logit of a part is
 * the log-sum-exp of its classes' logits at T = 1, and the temperature acts on the parts. `rival` is a row's share by
 * the other rule, soften first.
 */
function kindView(data, kinds, hand) {
  const logits = data.logits[hand.frame];
  const kindLogits = kinds.map(({ members }) => logSumExp(members.map((i) => logits[i])));
  const kept = inOrder(shownKinds(kinds, kindLogits, data, hand.all.kinds), kindLogits, hand.sort);
  const parts = kept.map((i) => kinds[i]);
  const partLogits = kept.map((i) => kindLogits[i]);
  const winner = kept.indexOf(argmax(kindLogits));
  if (kept.length < kinds.length) {
    const left = kinds.map((_, i) => i).filter((i) => !kept.includes(i));
    parts.push({ name: data.texts.everything_else, members: left.flatMap((i) => kinds[i].members), rest: true });
    partLogits.push(logSumExp(left.map((i) => kindLogits[i])));
  }
  const logProbs = logSoftmax(partLogits, hand.temperature);
  const shares = logSoftmax(partLogits, hand.temperature, hand.off ? [winner] : []).map(Math.exp);
  const without = hand.off ? parts[winner].members : [];
  const softened = logSoftmax(logits, hand.temperature, without).map(Math.exp);
  const posterior = data.posterior && data.posterior[hand.frame];
  const truth = posterior && withoutClasses(posterior, without);
  const rows = parts.flatMap(({ name, members, rest }, i) => {
    const gone = hand.off && i === winner;
    const opens = !rest && !gone && members.length > 1;
    const open = opens && hand.open === name;
    const row = {
      id: rest ? "rest" : `kind:${name}`, name, count: rest ? 1 : members.length, rest, gone, opens, open,
      top: i === winner, p: shares[i], rival: sumOf(softened, members), truth: truth && sumOf(truth, members) };
    return open ? [row, ...insideOf(row, members, { data, hand, logits, softened, truth })] : [row];
  });
  const trueShares = posterior && parts.map(({ members }) => sumOf(posterior, members));
  const atoms = { logProbs, winner, name: parts[winner].name, truth: trueShares };
  return { rows, atoms, total: kinds.length, drift: driftOf(parts, hand.off ? winner : -1) };
}

/** The likeliest classes of an open kind. Their shares add up to the kind's: p(class) = p(kind) p(class | kind). */
function insideOf(kind, members, { data, hand, logits, softened, truth }) {
  const within = logSoftmax(members.map((i) => logits[i]), hand.temperature).map(Math.exp);
  const kept = inOrder(largest(within, data.top_inside), within, hand.sort);
  const rows = kept.map((k) => ({
    id: `inside:${members[k]}`, name: data.class_names[members[k]], p: kind.p * within[k], rival: softened[members[k]],
    truth: truth && truth[members[k]], inside: true }));
  if (kept.length < members.length) {
    const left = members.filter((_, k) => !kept.includes(k));
    rows.push({
      id: `inside-rest:${kind.name}`, name: fill(data.texts.others, { count: left.length }), inside: true, rest: true,
      p: Math.max(0, kind.p - rows.reduce((sum, row) => sum + row.p, 0)), rival: sumOf(softened, left) });
  }
  return rows;
}

/** The kind with most classes, and the share to which "soften first" drives it as the temperature rises. */
function driftOf(parts, without) {
  const left = parts.filter((_, i) => i !== without);
  const total = left.reduce((sum, { members }) => sum + members.length, 0);
  const [most] = left.filter(({ rest }) => !rest).sort((a, b) => b.members.length - a.members.length);
  return { name: most.name, count: most.members.length, total, share: most.members.length / total };
}
