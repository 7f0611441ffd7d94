/* The pages of a list, of which the address says which one is shown. */

import { searchOf } from "./api.js";
import { element } from "./elements.js";

/** Links to the newest of this list and to those that follow; `query` is what is shown now. */
export function pageLinks(list, query, following) {
  const { page_token: here, ...others } = query;
  return [
    here !== undefined && element("a", { href: listAddress(list, others) }, "Newest"),
    following !== null &&
      element("a", { href: listAddress(list, { ...others, page_token: following }) }, "Older"),
  ];
}

/** The address of a list, with this query. */
export function listAddress(list, query) {
  const written = searchOf(query).toString();
  return written === "" ? list : `${list}?${written}`;
}
