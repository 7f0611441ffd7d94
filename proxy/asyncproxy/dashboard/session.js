/*
 * The API key or token that somebody has signed in with. It is kept in this tab alone and is gone
 * with it: what outlives the tab is found by whoever uses the computer next.
 */

const NAME = "asyncapiproxy.key";

export const session = {
  /** Null where nobody has signed in. */
  get key() {
    return sessionStorage.getItem(NAME);
  },
  keep(key) {
    sessionStorage.setItem(NAME, key);
  },
  forget() {
    sessionStorage.removeItem(NAME);
  },
};
