// Numbers drawn from a seed: the same seed gives the same order of turns and the same interval, in every browser.

/** Give a source of evenly spread numbers in [0, 1): sfc32, seeded with the characters of `seed` by FNV-1a. */
export function source(seed) {
  let hash = 0x811c9dc5;
  const text = String(seed);
  const word = (salt) => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ salt, 0x01000193);
    return hash | 0;
  };
  let [a, b, c, counter] = [word(1), word(2), word(3), 1];
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return (sum >>> 0) / 4294967296;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}

/** Give an integer in [0, limit). */
export function below(next, limit) {
  return Math.floor(next() * limit);
}

/** Give `items` in a random order; they stay as they are. */
export function shuffled(next, items) {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = below(next, i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
