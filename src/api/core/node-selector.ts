/** NodeSelector terms, compiled: alternatives of requirements over labels and fields. Source: component-helpers corev1/nodeaffinity. */
import type { Node, NodeSelector, NodeSelectorRequirement } from './v1.ts';

export type NodeMatcher = (node: Node) => boolean;

/** A node matches when one term matches whole; a term without requirements matches nothing. */
export function compileNodeSelector(selector: NodeSelector): NodeMatcher {
  const terms = selector.nodeSelectorTerms
    .filter((term) => (term.matchExpressions?.length ?? 0) + (term.matchFields?.length ?? 0) > 0)
    .map((term) => [
      ...(term.matchExpressions ?? []).map((requirement) => compile(requirement, (node) => node.metadata.labels?.[requirement.key])),
      ...(term.matchFields ?? []).map((requirement) => compile(requirement, (node) => (requirement.key === 'metadata.name' ? node.metadata.name : undefined))),
    ]);
  return (node) => terms.some((requirements) => requirements.every((matches) => matches(node)));
}

function compile({ operator, values = [] }: NodeSelectorRequirement, read: (node: Node) => string | undefined): NodeMatcher {
  const set = new Set(values);
  const bound = Number(values[0]);
  const integer = (text: string | undefined) => (text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : NaN);
  switch (operator) {
    case 'In': return (node) => { const value = read(node); return value !== undefined && set.has(value); };
    case 'NotIn': return (node) => { const value = read(node); return value === undefined || !set.has(value); };
    case 'Exists': return (node) => read(node) !== undefined;
    case 'DoesNotExist': return (node) => read(node) === undefined;
    case 'Gt': return (node) => integer(read(node)) > bound;
    case 'Lt': return (node) => integer(read(node)) < bound;
    default: return () => false;
  }
}
