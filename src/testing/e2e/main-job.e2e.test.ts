/** The main job: an application's whole life on a real cluster, with the real kubectl. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'node:test';
import { exec } from '../../base/exec.ts';
import { eventually, startTestCluster, whyNoNode } from './harness.ts';
import { writeTestImages } from './images.ts';

const ns = 'main-job';
const n = `-n ${ns}`;

test('the main job', { skip: whyNoNode(), timeout: 600_000 }, async (t) => {
  await using cluster = await startTestCluster('mainjob');
  const { kubectl, kubectlArgs, kubectlFails } = cluster;
  await using images = await writeTestImages();
  await cluster.knarr('image', 'load', ...images.files);

  /** What a URL answers from inside the pod `talk`. */
  const fetchInPod = (url: string) => kubectl(`exec ${n} talk -- wget -qO- ${url}`, { timeoutMs: 8_000 });
  const get = (what: string, path: string) => kubectl(`get ${n} ${what} -o jsonpath={${path}}`);
  const apply = (manifest: object) => kubectl(`apply ${n} -f -`, { input: JSON.stringify(manifest) });
  const sleeper = (labels: Record<string, string>) => ({
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sleep', '3600'] }] },
  });
  const runningPods = async (label: string) => (await kubectl(`get pods ${n} -l ${label} --no-headers`)).split('\n').filter((line) => / Running /.test(line)).length;

  await t.test('the node is Ready and says what it is', async () => {
    const wide = await kubectl('get nodes -o wide');
    assert.match(wide, /\bReady\b/);
    assert.match(wide, /containerd:\/\//);
  });
  await t.test('cluster-info, version, discovery, health', async () => {
    assert.match(await kubectl('cluster-info'), /is running at/);
    assert.equal(JSON.parse(await kubectl('version -o json')).serverVersion.minor, '36');
    assert.match(await kubectl('api-resources'), /^deployments +deploy +apps\/v1 +true +Deployment/m);
    assert.equal(await kubectl('get --raw /readyz'), 'ok');
  });
  await t.test('a namespace gets its service account', async () => {
    await kubectl(`create namespace ${ns}`);
    await eventually(() => kubectl(`get serviceaccount default ${n}`));
    await eventually(() => kubectl(`get configmap kube-root-ca.crt ${n}`));
  });
  await t.test('a pod runs and serves', async () => {
    await kubectl(`run ${n} web --image=hello-world:latest --image-pull-policy=IfNotPresent --port=8080`);
    await kubectl(`wait ${n} --for=condition=Ready pod/web --timeout=60s`);
    const ip = await get('pod web', '.status.podIP');
    await eventually(async () => assert.match((await exec('curl', ['-fsS', '-m', '3', `http://${ip}:8080/`])).stdout, /Hello World/));
    assert.match(await kubectl(`get pods ${n} -o wide`), /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\nweb +1\/1 +Running/);
    assert.match(await kubectl(`get pods ${n} --show-labels`), /run=web/);
    assert.equal((await kubectl(`get pods ${n} -l run=web -o name`)).trim(), 'pod/web');
    await eventually(async () => {
      const described = await kubectl(`describe pod ${n} web`);
      for (const word of ['Scheduled', 'Pulled', 'Created', 'Started', 'IP:']) assert.match(described, new RegExp(word));
    });
  });
  await t.test('logs, exec with input and exit codes, port-forward', async () => {
    await kubectlArgs(['run', '-n', ns, 'talk', '--image=busybox:1.35', '--image-pull-policy=IfNotPresent', '--restart=Never', '--', 'sh', '-c', 'echo one; echo two; sleep 3600']);
    await eventually(async () => assert.match(await kubectl(`logs ${n} talk`), /two/));
    assert.equal(await kubectl(`logs ${n} talk --tail=1`), 'two\n');
    assert.equal(await kubectl(`exec ${n} talk -- echo from-exec`), 'from-exec\n');
    assert.equal(await kubectl(`exec ${n} -i talk -- cat`, { input: 'piped' }), 'piped');
    assert.match(await kubectlFails(`exec ${n} talk -- false`), /exit code 1/);
    const port = await freePort();
    const forward = spawn(process.env.KUBECTL ?? 'kubectl', ['-n', ns, 'port-forward', 'pod/web', `${port}:8080`], { env: { ...process.env, KUBECONFIG: cluster.kubeconfig }, stdio: 'ignore' });
    try { await eventually(async () => assert.match((await exec('curl', ['-fsS', '-m', '3', `http://127.0.0.1:${port}/`])).stdout, /Hello World/)); }
    finally { forward.kill(); await once(forward, 'exit'); }
  });
  await t.test('a pod that fails says with which code', async () => {
    await kubectlArgs(['run', '-n', ns, 'once', '--image=busybox:1.35', '--image-pull-policy=IfNotPresent', '--restart=Never', '--', 'sh', '-c', 'exit 3']);
    await eventually(async () => assert.equal(await get('pod once', '.status.phase'), 'Failed'));
    assert.equal(await get('pod once', '.status.containerStatuses[0].state.terminated.exitCode'), '3');
  });
  await t.test('a deployment behind a service, by cluster IP, node port and name', async () => {
    const dry = JSON.parse(await kubectl('create deployment hello-world --image=hello-world:latest --dry-run=client -o json'));
    Object.assign(dry.spec.template.spec.containers[0], { imagePullPolicy: 'IfNotPresent', ports: [{ containerPort: 8080 }] });
    await apply(dry);
    await kubectl(`rollout status ${n} deployment/hello-world --timeout=60s`);
    assert.match(await kubectl(`get deployments ${n}`), /hello-world +1\/1/);
    await kubectl(`expose deployment ${n} hello-world --port=80 --target-port=8080 --type=NodePort`);
    await eventually(async () => assert.match(await get('endpoints hello-world', '.subsets[0].addresses[0].ip'), /^10\./));
    assert.match(await kubectl(`get endpointslices ${n} -l kubernetes.io/service-name=hello-world -o name`), /endpointslice/);
    const clusterIp = await get('service hello-world', '.spec.clusterIP');
    await eventually(async () => assert.match(await fetchInPod(`http://${clusterIp}/`), /Hello/));
    const nodeIp = await kubectl('get nodes -o jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}');
    const nodePort = await get('service hello-world', '.spec.ports[0].nodePort');
    await eventually(async () => assert.match((await exec('curl', ['-fsS', '-m', '3', `http://${nodeIp}:${nodePort}/`])).stdout, /Hello/));
    for (const host of ['hello-world', `hello-world.${ns}.svc.cluster.local`]) await eventually(async () => assert.match(await fetchInPod(`http://${host}/`), /Hello/));
    await eventually(async () => assert.match(await kubectl(`exec ${n} talk -- nslookup kubernetes.default.svc.cluster.local`), /Address/));
  });
  await t.test('a pod has its service account and knows the API', async () => {
    await kubectlArgs(['exec', '-n', ns, 'talk', '--', 'sh', '-c', 'test -s /var/run/secrets/kubernetes.io/serviceaccount/token && test -s /var/run/secrets/kubernetes.io/serviceaccount/ca.crt && test -n "$KUBERNETES_SERVICE_HOST"']);
  });
  await t.test('scale, new image, undo', async () => {
    await kubectl(`scale ${n} deployment/hello-world --replicas=3`);
    await kubectl(`rollout status ${n} deployment/hello-world --timeout=60s`);
    assert.equal(await get('deployment hello-world', '.status.readyReplicas'), '3');
    await kubectl(`scale ${n} deployment/hello-world --replicas=1`);
    await eventually(async () => assert.equal((await kubectl(`get pods ${n} -l app=hello-world -o name`)).trim().split('\n').length, 1));
    await kubectl(`set image ${n} deployment/hello-world hello-world=hello-world:v2`);
    await kubectl(`rollout status ${n} deployment/hello-world --timeout=60s`);
    await eventually(async () => assert.match(await fetchInPod('http://hello-world/'), /Hello again/));
    assert.match(await kubectl(`rollout history ${n} deployment/hello-world`), /REVISION/);
    await kubectl(`rollout undo ${n} deployment/hello-world`);
    await kubectl(`rollout status ${n} deployment/hello-world --timeout=60s`);
    await eventually(async () => assert.match(await fetchInPod('http://hello-world/'), /Hello World/));
  });
  await t.test('configuration as files and variables, updated live', async () => {
    await kubectlArgs(['create', '-n', ns, 'configmap', 'settings', '--from-literal=db.json={"dbType":"mysql"}']);
    await apply({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: 'sample' },
      spec: {
        containers: [{ name: 'sample', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sleep', '3600'],
          env: [{ name: 'DB', valueFrom: { configMapKeyRef: { name: 'settings', key: 'db.json' } } }],
          volumeMounts: [{ mountPath: '/config', name: 'config' }, { mountPath: '/scratch', name: 'scratch' }] }],
        volumes: [{ name: 'config', configMap: { name: 'settings', items: [{ key: 'db.json', path: 'db.json' }] } }, { name: 'scratch', emptyDir: {} }],
      },
    });
    await kubectl(`wait ${n} --for=condition=Ready pod/sample --timeout=60s`);
    assert.equal(await kubectl(`exec ${n} sample -- cat /config/db.json`), '{"dbType":"mysql"}');
    assert.equal(await kubectlArgs(['exec', '-n', ns, 'sample', '--', 'sh', '-c', 'echo "$DB"; touch /scratch/file']), '{"dbType":"mysql"}\n');
    await kubectlArgs(['patch', '-n', ns, 'configmap', 'settings', '--type=merge', '-p', '{"data":{"db.json":"postgres"}}']);
    await eventually(async () => assert.equal(await kubectl(`exec ${n} sample -- cat /config/db.json`), 'postgres'), 100_000);
    await kubectl(`create ${n} secret generic token --from-literal=key=s3cret`);
    assert.equal(Buffer.from(await get('secret token', '.data.key'), 'base64').toString(), 's3cret');
  });
  await t.test('label, annotate, patch, replace', async () => {
    await kubectl(`label ${n} pod web tier=front`);
    assert.match(await kubectlArgs(['get', '-n', ns, 'pods', '-l', 'tier in (front)']), /web/);
    await kubectl(`annotate ${n} pod web note=hi`);
    await kubectl(`patch ${n} pod web -p {"metadata":{"labels":{"tier":"back"}}}`);
    assert.equal(await get('pod web', '.metadata.labels.tier'), 'back');
    const settings = JSON.parse(await kubectl(`get ${n} configmap settings -o json`));
    settings.data.extra = '1';
    await kubectl(`replace ${n} -f -`, { input: JSON.stringify(settings) });
    assert.equal(await get('configmap settings', '.data.extra'), '1');
  });
  await t.test('a replication controller replaces its pods; a job completes', async () => {
    await apply({ apiVersion: 'v1', kind: 'ReplicationController', metadata: { name: 'rc' }, spec: { replicas: 2, selector: { app: 'rc' }, template: sleeper({ app: 'rc' }) } });
    await eventually(async () => assert.equal(await get('rc rc', '.status.readyReplicas'), '2'));
    const before = await kubectl(`get pods ${n} -l app=rc -o name`);
    await kubectl(`delete pod ${n} -l app=rc --wait=false`);
    await eventually(async () => assert.equal(await runningPods('app=rc'), 2));
    await eventually(async () => assert.notEqual(await kubectl(`get pods ${n} -l app=rc -o name`), before));
    const job = JSON.parse(await kubectlArgs(['create', 'job', 'pi', '--image=busybox:1.35', '--dry-run=client', '-o', 'json', '--', 'sh', '-c', 'echo 3.14']));
    job.spec.template.spec.containers[0].imagePullPolicy = 'IfNotPresent';
    await apply(job);
    await kubectl(`wait ${n} --for=condition=complete job/pi --timeout=60s`);
    assert.match(await kubectl(`logs ${n} job/pi`), /3.14/);
  });
  await t.test('taints keep pods away; cordon and drain empty a node', async () => {
    const node = await get('pod web', '.spec.nodeName');
    await kubectl('taint nodes --all foo=bar:NoSchedule');
    try {
      await kubectl(`run ${n} blocked --image=busybox:1.35 --image-pull-policy=IfNotPresent --restart=Never -- sleep 3600`);
      await eventually(async () => assert.match(await kubectl(`describe pod ${n} blocked`), /untolerated taint/));
      assert.match(await kubectl(`describe node ${node}`), /foo=bar:NoSchedule/);
    } finally { await kubectl('taint nodes --all foo-'); }
    await kubectl(`wait ${n} --for=condition=Ready pod/blocked --timeout=60s`);
    await kubectl(`cordon ${node}`);
    try {
      assert.match(await kubectl(`get node ${node}`), /SchedulingDisabled/);
      await kubectl(`drain ${node} --ignore-daemonsets --force --delete-emptydir-data --grace-period=1 --timeout=90s --pod-selector=app=rc`);
    } finally { await kubectl(`uncordon ${node}`); }
    await eventually(async () => assert.equal(await runningPods('app=rc'), 2));
  });
  await t.test('bad input is told what is wrong; strangers get nothing; rights are checked', async () => {
    const bad = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'Bad_Name' }, spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'c' } }, spec: { containers: [{ name: 'c', image: 'x' }] } } } };
    const refused = await kubectlFails(`apply ${n} -f -`, { input: JSON.stringify(bad) });
    assert.match(refused, /metadata\.name: Invalid value: "Bad_Name"/);
    assert.match(refused, /`selector` does not match template `labels`/);
    assert.match(await kubectlFails(`get pod ${n} nosuch`), /pods "nosuch" not found/);
    assert.match(await kubectlFails(`create namespace ${ns}`), /namespaces "main-job" already exists/);
    assert.match(await kubectlFails('get nosuchkind'), /the server doesn't have a resource type/);
    const server = await kubectl('config view --minify -o jsonpath={.clusters[0].cluster.server}');
    assert.match((await exec('curl', ['-sk', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', `${server}/api/v1/secrets`])).stdout, /^40[13]$/);
    await kubectl(`create ${n} serviceaccount viewer`);
    await kubectl(`create ${n} rolebinding viewer --clusterrole=view --serviceaccount=${ns}:viewer`);
    await eventually(async () => assert.equal(await kubectl(`auth can-i ${n} list pods --as=system:serviceaccount:${ns}:viewer`), 'yes\n'));
    await kubectlFails(`auth can-i ${n} delete pods --as=system:serviceaccount:${ns}:viewer`);
  });
  await t.test('down and up again keeps everything and restarts the pods', async () => {
    await cluster.knarr('down');
    await cluster.knarr('up');
    await eventually(async () => assert.equal(await runningPods('app=rc'), 2));
    await kubectl(`rollout status ${n} deployment/hello-world --timeout=60s`);
    assert.match((await cluster.knarr('up')).stdout, /is up already/);
  });
  await t.test('deleting cascades; a namespace goes with all in it', async () => {
    await kubectl(`delete deployment ${n} hello-world`);
    await eventually(async () => assert.equal(await kubectl(`get rs,pods ${n} -l app=hello-world -o name`), ''));
    await kubectl(`delete namespace ${ns} --wait=false`);
    await eventually(async () => assert.match(await kubectlFails(`get namespace ${ns}`), /not found/), 120_000);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
