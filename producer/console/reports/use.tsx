/**
 * Use is a fact with what is used of something, and with a bar if that has a limit. The bar changes its
 * colour when four fifths are used.
 *
 * @param limit null: there is none.
 * @param write writes a value with its unit.
 */
export function Use({
  name,
  used,
  limit,
  write,
}: {
  name: string;
  used: number;
  limit: number | null;
  write: (value: number) => string;
}) {
  const text = limit === null ? write(used) : `${write(used)} of ${write(limit)}`;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {text}
        {limit !== null && (
          <meter aria-label={name} min={0} max={limit || 1} high={0.8 * limit} value={Math.min(used, limit)}>
            {text}
          </meter>
        )}
      </dd>
    </div>
  );
}
