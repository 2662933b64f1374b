/** What managedFields and decoding cost on the create and update path, beside what JSON itself costs for the same pod. */
import '../src/api/all.schema.ts';
import { systemClock } from '../src/base/clock.ts';
import type { JsonObject } from '../src/base/json.ts';
import { decodeObject } from '../src/api/decode.ts';
import { trackUpdate } from '../src/api/managed-fields/managed-fields.ts';
import { typeOf } from '../src/api/schema.ts';
import { type Figure, printFigure } from './figure.ts';

const container = (name: string): JsonObject => ({
  name, image: 'registry.example/app:1', imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File',
  env: Array.from({ length: 6 }, (_, i) => ({ name: `V${i}`, value: 'x' })), ports: [{ containerPort: 8080, protocol: 'TCP' }],
  resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m', memory: '128Mi' } }, volumeMounts: [{ name: 'v', mountPath: '/v' }],
  livenessProbe: { httpGet: { path: '/', port: 8080, scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 },
});
const text = JSON.stringify({
  apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', labels: { app: 'a', tier: 'b' }, annotations: { note: 'x' } },
  spec: { containers: [container('a'), container('b')], volumes: [{ name: 'v', emptyDir: {} }], restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', schedulerName: 'default-scheduler', securityContext: {} },
});
const type = typeOf('core/v1.Pod');
const options = { type, apiVersion: 'v1', manager: 'bench', time: '2026-01-01T00:00:00Z' };

export function benchManagedFields(rounds = 5000): Figure[] {
  const measure = (name: string, run: (pod: JsonObject) => unknown): Figure => {
    const pods = Array.from({ length: rounds }, () => JSON.parse(text) as JsonObject);
    for (const pod of pods.slice(0, rounds / 10)) run(structuredClone(pod));
    const start = systemClock.monotonic();
    for (const pod of pods) run(pod);
    return { name, value: Number((((systemClock.monotonic() - start) / rounds) * 1000).toFixed(1)), unit: 'µs' };
  };
  const live = JSON.parse(text) as JsonObject;
  trackUpdate(undefined, live, options);
  return [
    measure('JSON.stringify of a pod with two containers', (pod) => JSON.stringify(pod)),
    measure('JSON.parse of the same', () => JSON.parse(text)),
    measure('decode by the schema', (pod) => decodeObject(type, pod)),
    measure('managedFields of a create', (pod) => trackUpdate(undefined, pod, options)),
    measure('managedFields of a status update', (pod) => {
      pod.status = { phase: 'Running' };
      trackUpdate(live, pod, { ...options, subresource: 'status', manager: 'kubelet' });
    }),
  ];
}

if (import.meta.main) for (const figure of benchManagedFields()) printFigure(figure);
