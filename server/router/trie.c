#include "server/router/trie.h"

#include <string.h>

#define KIB 1024
#define MIB (1024 * 1024)

typedef struct _Node Node;
struct _Node {
  char *text; /* the literal that leads here, NULL below a parameter */
  gsize length;
  GPtrArray *literals; /* of Node, sorted */
  Node *parameter;
  GPtrArray *matches; /* of CmMatch: what ends here, one for each method */
};

struct _CmTrie {
  Node *root;
};

static void node_free (gpointer data);

static Node *
node_new (const char *text, gsize length)
{
  Node *node = g_new0 (Node, 1);

  node->text = text != NULL ? g_strndup (text, length) : NULL;
  node->length = length;
  node->literals = g_ptr_array_new_with_free_func (node_free);
  node->matches = g_ptr_array_new_with_free_func (g_free);
  return node;
}

static void
node_free (gpointer data)
{
  Node *node = data;

  if (node == NULL)
    return;
  g_free (node->text);
  g_ptr_array_unref (node->literals);
  node_free (node->parameter);
  for (guint i = 0; i < node->matches->len; i++)
    g_strfreev (((CmMatch *) g_ptr_array_index (node->matches, i))->names);
  g_ptr_array_unref (node->matches);
  g_free (node);
}

static int
compare_text (const char *a, gsize a_length, const char *b, gsize b_length)
{
  int order = memcmp (a, b, MIN (a_length, b_length));

  return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int
compare_nodes (gconstpointer a, gconstpointer b)
{
  const Node *left = *(Node *const *) a, *right = *(Node *const *) b;

  return compare_text (left->text, left->length, right->text, right->length);
}

static Node *
find_literal (const Node *node, const char *text, gsize length)
{
  guint low = 0, high = node->literals->len;

  while (low < high) {
    guint middle = (low + high) / 2;
    Node *child = g_ptr_array_index (node->literals, middle);
    int order = compare_text (text, length, child->text, child->length);
    if (order == 0)
      return child;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

static Node *
make_child (Node *node, const char *text, gsize length)
{
  if (length > 0 && text[0] == '{') {
    if (node->parameter == NULL)
      node->parameter = node_new (NULL, 0);
    return node->parameter;
  }
  Node *child = find_literal (node, text, length);
  if (child == NULL) {
    child = node_new (text, length);
    g_ptr_array_add (node->literals, child);
    g_ptr_array_sort (node->literals, compare_nodes);
  }
  return child;
}

CmTrie *
cm_trie_new (void)
{
  CmTrie *trie = g_new0 (CmTrie, 1);

  trie->root = node_new (NULL, 0);
  return trie;
}

void
cm_trie_free (CmTrie *trie)
{
  if (trie == NULL)
    return;
  node_free (trie->root);
  g_free (trie);
}

static CmServe
serve_of (const char *path)
{
  static const struct {
    const char *prefix;
    CmServe serve;
  } prefixes[] = {
    { "/_matrix/client/", CM_SERVE_CLIENT },
    { "/_matrix/media/", CM_SERVE_CLIENT },
    { "/_matrix/federation/", CM_SERVE_FEDERATION },
    { "/_matrix/key/", CM_SERVE_CLIENT | CM_SERVE_FEDERATION },
    { "/.well-known/matrix/", CM_SERVE_CLIENT | CM_SERVE_FEDERATION },
    { "/_synapse/admin/", CM_SERVE_ADMIN },
    { "/_comity/", CM_SERVE_ADMIN },
  };

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (path, prefixes[i].prefix))
      return prefixes[i].serve;
  return CM_SERVE_CLIENT;
}

static gsize
max_body_of (const CmRoute *route)
{
  if (route->max_body != 0)
    return route->max_body;
  if (route->body == CM_BODY_NONE)
    return 64 * KIB;
  if (route->body == CM_BODY_RAW)
    return 50 * MIB;
  if (route->auth == CM_AUTH_FEDERATION)
    return 16 * MIB;
  return route->auth == CM_AUTH_NONE ? 64 * KIB : 1 * MIB;
}

static char **
names_of (const char *path)
{
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  g_auto (GStrv) segments = g_strsplit (path, "/", -1);

  for (guint i = 0; segments[i] != NULL; i++)
    if (segments[i][0] == '{') {
      g_autofree char *name = g_strndup (segments[i] + 1, strlen (segments[i]) - 2);
      g_strv_builder_add (names, name);
    }
  return g_strv_builder_end (names);
}

static void
add_path (CmTrie *trie, const CmRoute *route, const char *path)
{
  g_auto (GStrv) segments = g_strsplit (path, "/", -1);
  CmMatch *match = g_new0 (CmMatch, 1);
  Node *node = trie->root;

  g_assert_cmpuint (g_strv_length (segments), <=, CM_TRIE_MAX_SEGMENTS);
  for (guint i = 1; segments[0] != NULL && segments[i] != NULL; i++)
    node = make_child (node, segments[i], strlen (segments[i]));
  for (guint i = 0; i < node->matches->len; i++) {
    const CmMatch *other = g_ptr_array_index (node->matches, i);
    if (strcmp (other->route->method, route->method) == 0)
      g_error ("two routes for %s %s", route->method, path);
  }
  match->route = route;
  match->serve = serve_of (path);
  match->max_body = max_body_of (route);
  match->names = names_of (path);
  g_ptr_array_add (node->matches, match);
}

void
cm_trie_add (CmTrie *trie, const CmRoute *route)
{
  const char *v3 = strstr (route->path, "/v3/");

  add_path (trie, route, route->path);
  if (v3 == NULL)
    return;
  g_autofree char *r0 =
      g_strdup_printf ("%.*s/r0/%s", (int) (v3 - route->path), route->path, v3 + strlen ("/v3/"));
  add_path (trie, route, r0);
}

/* One look-up on its way down. */
typedef struct {
  const char *method;
  CmServe serve;
  const CmSegment *path;
  guint n_path;
  CmSegment *parameters;
  guint n_parameters;
  gboolean known;
} Search;

static const CmMatch *
find_method (const Node *node, Search *search)
{
  for (guint i = 0; i < node->matches->len; i++) {
    const CmMatch *match = g_ptr_array_index (node->matches, i);
    if ((match->serve & search->serve) == 0)
      continue;
    search->known = TRUE;
    if (strcmp (match->route->method, search->method) == 0)
      return match;
  }
  return NULL;
}

static const CmMatch *
search_node (const Node *node, guint depth, Search *search)
{
  if (depth == search->n_path)
    return find_method (node, search);

  const CmSegment *segment = &search->path[depth];
  const Node *literal = find_literal (node, segment->text, segment->length);
  const CmMatch *match = literal != NULL ? search_node (literal, depth + 1, search) : NULL;

  if (match != NULL || node->parameter == NULL)
    return match;
  /* An empty segment is a value at the end only (the state key of ".../state/m.room.name/"). */
  if (segment->length == 0 && depth + 1 < search->n_path)
    return NULL;
  search->parameters[search->n_parameters++] = *segment;
  match = search_node (node->parameter, depth + 1, search);
  if (match == NULL)
    search->n_parameters--;
  return match;
}

/* 0 when there are too many. */
static guint
split_path (const char *path, gsize length, CmSegment *segments)
{
  const char *end = path + length;
  guint n = 0;

  for (const char *start = path + 1; start <= end; n++) {
    const char *slash = memchr (start, '/', (gsize) (end - start));
    const char *stop = slash != NULL ? slash : end;
    if (n == CM_TRIE_MAX_SEGMENTS)
      return 0;
    segments[n] = (CmSegment){ start, (gsize) (stop - start) };
    start = stop + 1;
  }
  return n;
}

const CmMatch *
cm_trie_match (const CmTrie *trie, const char *method, CmServe serve, const char *path,
               gsize length, CmSegment *segments, gboolean *known)
{
  CmSegment split[CM_TRIE_MAX_SEGMENTS];
  Search search = { method, serve, split, 0, segments, 0, FALSE };
  const CmMatch *match = NULL;

  search.n_path = split_path (path, length, split);
  if (search.n_path > 0)
    match = search_node (trie->root, 0, &search);
  *known = search.known;
  return match;
}
