#include "tests/fuzz/fuzz.h"

#include "server/http/percent.h"
#include "server/router/trie.h"
#include "server/routes.h"

#include <string.h>

static CmTrie *
build_trie (void)
{
  CmTrie *trie = cm_trie_new ();

  for (gsize i = 0; i < cm_n_route_tables; i++) {
    for (const CmRoute *route = cm_route_tables[i]; route->method != NULL; route++)
      cm_trie_add (trie, route);
  }
  return trie;
}

static void
check_decoded (const char *text, gsize length, gboolean plus)
{
  g_autofree char *out = g_malloc (length + 1);
  gssize written = cm_percent_decode (text, length, plus, out);

  FUZZ_EXPECT (written < 0 || ((gsize) written <= length && strlen (out) == (gsize) written));
}

/* Request targets: every parameter that the routes give lies within the path, and decodes to a text
 * or is refused. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static gsize trie = 0;
  CmSegment segments[CM_TRIE_MAX_SEGMENTS];
  gboolean known = FALSE;

  if (g_once_init_enter (&trie))
    g_once_init_leave (&trie, (gsize) build_trie ());
  /* An exact copy, so that a read behind its end is seen. */
  g_autofree char *path = g_memdup2 (data, size);
  const CmMatch *match = cm_trie_match (
      (CmTrie *) trie, "GET", CM_SERVE_CLIENT | CM_SERVE_FEDERATION, path, size, segments, &known);
  check_decoded (path, size, TRUE);
  if (match == NULL)
    return 0;
  FUZZ_EXPECT (known);
  for (gsize i = 0; match->names[i] != NULL; i++) {
    FUZZ_EXPECT (segments[i].text >= path && segments[i].text + segments[i].length <= path + size);
    check_decoded (segments[i].text, segments[i].length, FALSE);
  }
  return 0;
}
