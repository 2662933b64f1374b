/**
 * Who may import whom, and why. Components meet through the API, never in memory; `layers.test.ts` reads the imports of every
 * file against this table and answers in sentences. The tree itself is described in docs/architecture.md.
 */
interface Layer { imports: Readonly<Record<string, string>>; everything?: true }

const apiAndBase = {
  base: 'clock, randomness, logs and processes are parameters from there',
  api: 'types and rules of the objects it handles',
};
const component = { ...apiAndBase, client: 'a component reaches the cluster only through the API' };

export const layers: Readonly<Record<string, Layer>> = {
  base: { imports: {} },
  api: { imports: { base: apiAndBase.base } },
  store: { imports: { base: apiAndBase.base } },
  client: { imports: apiAndBase },
  apiserver: { imports: { ...component, store: 'the apiserver is the only door to the store' } },
  controllers: { imports: component },
  scheduler: { imports: component },
  kubelet: { imports: component },
  proxy: { imports: component },
  dns: { imports: component },
  kubectl: { imports: component },
  kubeadm: { imports: component },
  network: { imports: component },
  dashboard: { imports: component },
  sim: { imports: component },
  cluster: { imports: {}, everything: true },
  testing: { imports: {}, everything: true },
};

/** For the sentence: what to use instead of reaching into another component. */
const cure: Readonly<Record<string, string>> = {
  store: 'use client; only the apiserver talks to the store',
  testing: 'production code cannot need test helpers',
  cluster: 'take it as a parameter; cluster is the composition root',
};

/** A sentence for each import that the table does not allow. `imports` are paths relative to src: 'scheduler/queue.ts'. */
export function layerViolations(file: string, imports: readonly string[]): string[] {
  const from = file.split('/')[0]!;
  const isTest = /\.(test|conformance)\.ts$/.test(file);
  const layer = layers[from];
  if (!file.includes('/') || isTest || layer?.everything) return [];
  if (!layer) return [`${file}: folder '${from}' is not in the layer table of src/layers.ts; add it with its reasons`];
  return imports.flatMap((path) => {
    const to = path.split('/')[0]!;
    if (to === from || to in layer.imports) return [];
    return [`${file}: ${from} imports ${to}; ${cure[to] ?? (to in layers ? 'use client' : `no such folder '${to}'`)}`];
  });
}

/** Clock, randomness and processes come from base/; each pattern with what to use instead. */
const reserved: readonly [RegExp, string][] = [
  [/\bDate\.now\(/, 'clock.now()'], [/\bnew Date\(\)/, 'clock.now()'], [/\bperformance\.now\(/, 'clock.monotonic()'],
  [/\bMath\.random\(/, 'rng.float()'], [/\brandomUUID\(/, 'uuid(rng)'], [/(?<![\w.])setTimeout\(/, 'clock.after()'],
  [/(?<![\w.])setInterval\(/, 'every(clock, …)'], [/AbortSignal\.timeout\(/, 'clock.after() and an AbortController'],
  [/from 'node:child_process'/, 'base/exec.ts'],
];

/** A sentence for each use of time, chance or processes outside base/. */
export function reservedUses(file: string, source: string): string[] {
  if (/^(base|testing)\//.test(file) || file.endsWith('.test.ts') || file === 'layers.ts') return [];
  return source.split('\n').flatMap((line, index) => {
    if (/^\s*(\*|\/\/)/.test(line)) return [];
    return reserved.flatMap(([pattern, instead]) => (pattern.test(line) ? [`${file}:${index + 1}: ${pattern.exec(line)![0]}…: use ${instead}, so that time and chance stay parameters`] : []));
  });
}
