/**
 * derived returns a function that returns what `make` makes of a setting, and makes it again only when the
 * setting was replaced. Settings that a reload leaves as they are keep their identity.
 */
export function derived<Setting, Made>(read: () => Setting, make: (setting: Setting) => Made): () => Made {
  let latest: { setting: Setting; made: Made } | undefined;
  return () => {
    const setting = read();
    if (latest === undefined || latest.setting !== setting) latest = { setting, made: make(setting) };
    return latest.made;
  };
}
