import { definePlugin, maxNodeScore } from '../framework.ts';

const mebibyte = 1024 * 1024;
/** Below the one nothing is gained, above the other (per container) nothing more. */
const minThreshold = 23 * mebibyte;
const maxContainerThreshold = 1000 * mebibyte;

/** Prefers nodes that hold the pod's images already, big ones and widely held ones first. */
export const imageLocality = definePlugin({
  name: 'ImageLocality',
  requeueOn: [],
  preScore(pod, nodes) {
    const images = [...pod.pod.spec.initContainers ?? [], ...pod.pod.spec.containers].map((container) => normalizedImageName(container.image ?? ''));
    /** How much having each image is worth: its size, scaled by the share of nodes that have it (so that one node is no magnet). */
    const worth = new Map<string, number>();
    for (const image of images) {
      const holders = nodes.filter((node) => node.images.has(image));
      if (holders.length > 0) worth.set(image, Math.floor((holders[0]!.images.get(image)! * holders.length) / nodes.length));
    }
    return worth.size === 0 ? 'skip' : { images, worth };
  },
  score({ images, worth }: { images: string[]; worth: Map<string, number> }, node) {
    let sum = 0;
    for (const image of images) if (node.images.has(image)) sum += worth.get(image) ?? 0;
    const max = maxContainerThreshold * images.length;
    return Math.floor((maxNodeScore * (Math.min(Math.max(sum, minThreshold), max) - minThreshold)) / (max - minThreshold));
  },
});

/** Adds ':latest' where neither tag nor digest is given. */
function normalizedImageName(name: string): string { return name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name; }
