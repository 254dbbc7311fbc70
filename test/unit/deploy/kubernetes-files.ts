import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ScaledObject, TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Namespace, Secret, Service } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

export const ROOT = join(__dirname, '../../..');
export const FOLDER = join(ROOT, 'deploy/kubernetes');

/** The kinds whose types are published on npm, each with the name of its type and where that type is. */
export const MODELS = {
  Deployment: { Model: Deployment, from: 'kubernetes-models/apps/v1' },
  Namespace: { Model: Namespace, from: 'kubernetes-models/v1' },
  NetworkPolicy: { Model: NetworkPolicy, from: 'kubernetes-models/networking.k8s.io/v1' },
  PodDisruptionBudget: { Model: PodDisruptionBudget, from: 'kubernetes-models/policy/v1' },
  ScaledObject: { Model: ScaledObject, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
  Secret: { Model: Secret, from: 'kubernetes-models/v1' },
  Service: { Model: Service, from: 'kubernetes-models/v1' },
  TriggerAuthentication: { Model: TriggerAuthentication, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
} as const;
export type Kind = keyof typeof MODELS;

export interface Manifest {
  kind: string;
  name: string;
  file: string;
  object: never;
}

export const FILES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.\w+$/.test(name),
);
export const KUSTOMIZATIONS = FILES.filter((name) => basename(name) === 'kustomization.yaml');
export const MANIFESTS = FILES.filter(
  (name) => name.endsWith('.yaml') && !KUSTOMIZATIONS.includes(name),
).flatMap((file) =>
  documentsIn(file).map((object): Manifest => {
    const { kind, metadata } = z
      .looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) })
      .parse(object);
    return { kind, name: metadata.name, file, object: object as never };
  }),
);
export const TYPED = MANIFESTS.filter(({ kind }) => Object.hasOwn(MODELS, kind));

export function documentsIn(file: string): unknown[] {
  return parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as unknown;
  });
}

/** named returns the manifest of a kind and a name in the form that a schema describes. */
export function named<Output>(kind: string, name: string, schema: z.ZodType<Output>): Output {
  return schema.parse(MANIFESTS.find((manifest) => manifest.kind === kind && manifest.name === name)?.object);
}

export const labels = z.record(z.string(), z.string());
const probe = z.looseObject({ httpGet: z.looseObject({ path: z.string(), port: z.string() }) });
const deployment = z.looseObject({
  spec: z.looseObject({
    replicas: z.number(),
    selector: z.strictObject({ matchLabels: labels }),
    template: z.looseObject({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number(),
        topologySpreadConstraints: z.array(
          z.looseObject({ labelSelector: z.strictObject({ matchLabels: labels }) }),
        ),
        containers: z.tuple([
          z.looseObject({
            image: z.string(),
            args: z.tuple([z.string()]),
            env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
            ports: z.tuple([z.looseObject({ name: z.string(), containerPort: z.number() })]),
            readinessProbe: probe,
            livenessProbe: probe,
            lifecycle: z
              .strictObject({
                preStop: z.looseObject({ exec: z.looseObject({ command: z.array(z.string()) }) }),
              })
              .optional(),
            volumeMounts: z.array(
              z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) }),
            ),
          }),
        ]),
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            configMap: z.looseObject({ name: z.string() }).optional(),
            secret: z
              .looseObject({
                secretName: z.string(),
                items: z.array(z.strictObject({ key: z.string(), path: z.string() })),
              })
              .optional(),
          }),
        ),
      }),
    }),
  }),
});
export const PROCESSES = ['producer', 'worker'] as const;
export const deploymentOf = (process: string) => named('Deployment', `o3q-${process}`, deployment).spec;
export const secret = named('Secret', 'o3q', z.looseObject({ stringData: z.record(z.string(), z.string()) }));
