/**
 * jobPageUrl is the address of the page of a job on the console.
 *
 * @param instance the address of the instance, with its path and without a slash at its end.
 */
export function jobPageUrl(instance: string, id: string): string {
  return `${instance}/console/jobs/${encodeURIComponent(id)}`;
}
