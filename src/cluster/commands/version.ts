import { type Command } from '../main.ts';
import { kubernetesVersion, productVersion } from '../version.ts';

export const command: Command = {
  summary: 'the versions of knarr and of the Kubernetes API it speaks', flags: {},
  run: () => { console.log(`knarr ${productVersion} (Kubernetes ${kubernetesVersion}, Node.js ${process.version})`); return Promise.resolve(); },
};
