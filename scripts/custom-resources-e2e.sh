#!/usr/bin/env bash
# Custom resources with a real kubectl against a running cluster: KUBECONFIG says which, KUBECTL which client (default kubectl).
# Each check prints a line; the exit code counts the failures.
set -u
KUBECTL=${KUBECTL:-kubectl}
failures=0
work=$(mktemp -d)
trap '"$KUBECTL" delete crd gadgets.e2e.example.com --ignore-not-found --wait=false >/dev/null 2>&1; rm -rf "$work"' EXIT
k() { "$KUBECTL" "$@" 2>&1; }
check() { # NAME PATTERN COMMAND...
  local name=$1 pattern=$2; shift 2
  local out; out=$("$@" 2>&1)
  if grep -qE -- "$pattern" <<<"$out"; then echo "ok   $name"; else echo "FAIL $name"; sed 's/^/     /' <<<"$out" | head -15; failures=$((failures + 1)); fi
}
absent() { # NAME PATTERN COMMAND...
  local name=$1 pattern=$2; shift 2
  local out; out=$("$@" 2>&1)
  if grep -qE -- "$pattern" <<<"$out"; then echo "FAIL $name"; sed 's/^/     /' <<<"$out" | head -15; failures=$((failures + 1)); else echo "ok   $name"; fi
}

cat >"$work/crd.yaml" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.e2e.example.com}
spec:
  group: e2e.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, shortNames: [gd], categories: [all, toys]}
  versions:
  - name: v1
    served: true
    storage: true
    selectableFields: [{jsonPath: .spec.color}]
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    additionalPrinterColumns:
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema: &schema
      openAPIV3Schema:
        description: Gadget is for tests.
        type: object
        properties:
          spec:
            description: What is wanted.
            type: object
            required: [replicas]
            x-kubernetes-validations:
            - {rule: "self.replicas <= 5 || self.color == 'red'", message: "more than five only in red"}
            properties:
              replicas: {type: integer, minimum: 0, maximum: 10}
              color: {type: string, enum: [red, green], default: green, x-kubernetes-validations: [{rule: "self == oldSelf || oldSelf == 'green'", message: "red stays red"}]}
              port: {x-kubernetes-int-or-string: true}
              name: {type: string, maxLength: 5, pattern: '^[a-z]+$'}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
          status: {type: object, properties: {replicas: {type: integer}, selector: {type: string}, phase: {type: string}}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: *schema
YAML
gadget() { cat <<YAML
apiVersion: e2e.example.com/${3:-v1}
kind: Gadget
metadata: {name: $1, namespace: default}
spec: {$2}
YAML
}

check 'a definition is created' 'created|configured' k apply -f "$work/crd.yaml"
check 'it is established' 'condition met' k wait --for condition=established --timeout=20s crd/gadgets.e2e.example.com
check 'api-resources names it' 'gadgets +gd +e2e.example.com' k api-resources --api-group=e2e.example.com
gadget one 'replicas: 2, tags: [a, b]' >"$work/one.yaml"
check 'an object is applied' 'gadget.e2e.example.com/one created' k apply -f "$work/one.yaml"
check 'again without change' 'unchanged' k apply -f "$work/one.yaml"
check 'columns' '^NAME +REPLICAS +AGE' k get gadgets
check 'wide columns' 'COLOR' k get gd -o wide
check 'a default was filled in' 'green' k get gadget one -o jsonpath='{.spec.color}'
check 'category' 'gadget.e2e.example.com/one' k get toys -o name
check 'explain a field' 'What is wanted' k explain gadgets.spec
check 'explain the kind' 'Gadget is for tests' k explain gadgets
gadget bad 'replicas: many' >"$work/bad.yaml"
check 'wrong type' 'must be of type integer|invalid type' k apply -f "$work/bad.yaml"
check 'wrong type, the server says' 'spec.replicas in body must be of type integer: "string"' k apply --validate=false -f "$work/bad.yaml"
gadget bad 'replicas: 11' >"$work/bad.yaml"
check 'maximum' 'spec.replicas in body should be less than or equal to 10' k apply -f "$work/bad.yaml"
gadget bad 'color: red' >"$work/bad.yaml"
check 'required' 'spec.replicas: Required value|missing required field "replicas"' k apply -f "$work/bad.yaml"
gadget bad 'replicas: 1, color: blue' >"$work/bad.yaml"
check 'enum' 'Unsupported value: "blue": supported values: "red", "green"' k apply -f "$work/bad.yaml"
gadget bad 'replicas: 1, name: Abc' >"$work/bad.yaml"
check 'pattern' "spec.name in body should match" k apply -f "$work/bad.yaml"
gadget bad 'replicas: 6' >"$work/bad.yaml"
check 'a rule' 'more than five only in red' k apply -f "$work/bad.yaml"
gadget bad 'replicas: 1, tags: [a, a]' >"$work/bad.yaml"
check 'a set' 'spec.tags\[1\]: Duplicate value: "a"' k apply -f "$work/bad.yaml"
gadget bad 'replicas: 1, unknown: 1' >"$work/bad.yaml"
check 'unknown fields are refused' 'unknown field "(spec\.)?unknown"' k apply -f "$work/bad.yaml"
check 'patched' 'patched' k patch gadget one --type=merge -p '{"spec":{"color":"red"}}'
check 'a transition rule' 'red stays red' k patch gadget one --type=merge -p '{"spec":{"color":"green"}}'
check 'JSON patch' 'patched' k patch gadget one --type=json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'
check 'no strategic merge' 'UnsupportedMediaType|unknown format|not supported' k patch gadget one --type=strategic -p '{"spec":{"replicas":3}}'
check 'scaled' 'scaled' k scale gadget one --replicas=4
check 'the scale is in the spec' '^4$' k get gadget one -o jsonpath='{.spec.replicas}'
check 'generation' '^4$' k get gadget one -o jsonpath='{.metadata.generation}'
check 'field selector' 'one' k get gadgets --field-selector spec.color=red -o name
absent 'field selector, others' 'one' k get gadgets --field-selector spec.color=green -o name
check 'another version' 'e2e.example.com/v1beta1' k get gadgets.v1beta1.e2e.example.com one -o jsonpath='{.apiVersion}'
check 'a deprecated version warns' 'Warning: e2e.example.com/v1beta1 Gadget is deprecated; use e2e.example.com/v1 Gadget' k get gadgets.v1beta1.e2e.example.com
check 'server-side apply' 'serverside-applied' k apply --server-side --force-conflicts -f "$work/one.yaml"
check 'labels' 'labeled' k label gadget one a=b
check 'described' 'Kind: +Gadget' k describe gadget one
check 'edited' 'edited' env EDITOR="sed -i s/replicas:.[0-9]*/replicas:\\ 1/" "$KUBECTL" edit gadget one
check 'replaced' 'replaced' bash -c "$KUBECTL get gadget one -o yaml | sed 's/replicas: 1/replicas: 2/' | $KUBECTL replace -f -"
sed 's/plural: gadgets/plural: things/; s/^metadata.*/metadata: {name: things.e2e.example.com}/' "$work/crd.yaml" >"$work/other.yaml"
check 'names in conflict' 'False.*"Gadget" is already in use|already in use' bash -c "$KUBECTL apply -f $work/other.yaml >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do $KUBECTL get crd things.e2e.example.com -o jsonpath='{.status.conditions[*].message}' | grep use && break; done"
check 'the other goes' 'deleted' k delete crd things.e2e.example.com --timeout=20s
sed 's/type: object, properties: {replicas/type: objekt, properties: {replicas/' "$work/crd.yaml" >"$work/broken.yaml"
check 'a broken schema is refused' 'Unsupported value: "objekt"' k apply -f "$work/broken.yaml"
check 'deleting the object' 'deleted' k delete gadget one --timeout=20s
k apply -f "$work/one.yaml" >/dev/null
check 'deleting the definition' 'deleted' k delete crd gadgets.e2e.example.com --timeout=30s
check 'nothing is served' "the server doesn't have a resource type|could not find the requested resource" k get gadgets
echo "$failures failed"
exit "$failures"
