#include "federation/discovery.h"

#include "crypto/id.h"

#include <string.h>

#define DEFAULT_PORT         8448
#define WELL_KNOWN_BYTES     (64 * 1024)
#define WELL_KNOWN_MS        10000
#define WELL_KNOWN_REDIRECTS 5
#define MAX_CANDIDATES       8
#define MAX_ENTRIES          10000

/* "Resolving server names", 3, recommends a day unless the answer says otherwise, two at most, and
 * for errors up to an hour. */
#define SECOND        ((gint64) G_USEC_PER_SEC)
#define MINUTE        (60 * SECOND)
#define HOUR          (60 * MINUTE)
#define DELEGATED_MIN (5 * MINUTE)
#define DELEGATED_MAX (48 * HOUR)
#define DELEGATED_FOR (24 * HOUR)
#define FAILED_MIN    (2 * MINUTE)
#define FAILED_MAX    HOUR
/* GResolver does not tell how long a record may be kept. */
#define CANDIDATES_FOR (5 * MINUTE)

/* What /.well-known/matrix/server said. */
typedef struct {
  char *delegated;   /* NULL: nothing usable */
  gint64 ask_again;  /* monotonic, as all times here */
  gint64 good_until; /* a value outlives failures to read it again until then */
  guint failures;
} WellKnown;

typedef struct {
  WellKnown well_known;
  GPtrArray *candidates; /* nullable; of CmServerAddress, never changed */
  gint64 candidates_until;
} Entry;

struct _CmDiscovery {
  CmOutbound *outbound;
  GHashTable *overrides; /* name -> GPtrArray of CmServerAddress; never changes */
  guint16 well_known_port;
  GMutex lock;
  GHashTable *entries; /* name -> Entry */
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->well_known.delegated);
  g_clear_pointer (&entry->candidates, g_ptr_array_unref);
  g_free (entry);
}

static gboolean
entry_is_stale (gpointer name, gpointer data, gpointer now)
{
  Entry *entry = data;

  return MAX (entry->candidates_until, entry->well_known.ask_again) < *(gint64 *) now;
}

void
cm_server_address_free (CmServerAddress *address)
{
  g_free (address->host);
  g_free (address->tls_name);
  g_free (address->host_header);
  g_free (address);
}

static GPtrArray *
new_candidates (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) cm_server_address_free);
}

static void
add_candidate (GPtrArray *candidates, const char *host, guint16 port, const char *tls_name,
               const char *host_header)
{
  CmServerAddress *address = g_new0 (CmServerAddress, 1);

  address->host = g_strdup (host);
  address->port = port;
  address->tls_name = g_strdup (tls_name);
  address->host_header = g_strdup (host_header);
  g_ptr_array_add (candidates, address);
}

/* Steps 3.3 to 3.5 and 4 to 6, which differ in nothing but the name. */
static void
find_by_records (CmDiscovery *discovery, const char *host, GPtrArray *candidates)
{
  static const char *const services[] = { "matrix-fed", "matrix" };

  for (gsize i = 0; i < G_N_ELEMENTS (services) && candidates->len == 0; i++) {
    GList *targets = cm_outbound_find_service (discovery->outbound, services[i], host);

    for (GList *l = targets; l != NULL && candidates->len < MAX_CANDIDATES; l = l->next) {
      const char *target = g_srv_target_get_hostname (l->data);

      /* RFC 2782: a dot says that the service is not to be had here. */
      if (*target != '\0' && !g_str_equal (target, "."))
        add_candidate (candidates, target, g_srv_target_get_port (l->data), host, host);
    }
    g_resolver_free_targets (targets);
  }
  if (candidates->len == 0)
    add_candidate (candidates, host, DEFAULT_PORT, host, host);
}

/* TRUE when @name itself says where to go: steps 1 and 2, and 3.1 and 3.2 for a delegated name. */
static gboolean
find_by_name (const char *name, GPtrArray *candidates, char **host)
{
  guint16 port;
  gboolean literal;

  if (!cm_id_split_server_name (name, host, &port, &literal))
    return FALSE;
  if (!literal && port == 0)
    return FALSE;
  add_candidate (candidates, *host, port != 0 ? port : DEFAULT_PORT, *host, name);
  return TRUE;
}

static char *
read_well_known (const CmOutboundAnswer *answer)
{
  g_autoptr (CmJsonDoc) doc = NULL;
  const char *delegated;

  if (answer->status != 200)
    return NULL;
  doc = cm_json_parse_bytes (answer->body, NULL);
  delegated = cm_json_get_text (cm_json_doc_root (doc), "m.server");
  return cm_id_split_server_name (delegated, NULL, NULL, NULL) ? g_strdup (delegated) : NULL;
}

static WellKnown
fetch_well_known (CmDiscovery *discovery, const char *host, const WellKnown *before)
{
  g_autofree char *port = discovery->well_known_port == 443
                              ? g_strdup ("")
                              : g_strdup_printf (":%u", discovery->well_known_port);
  g_autofree char *url = g_strdup_printf ("https://%s%s/.well-known/matrix/server", host, port);
  const CmOutboundRequest request = { .method = "GET",
                                      .url = url,
                                      .max_bytes = WELL_KNOWN_BYTES,
                                      .timeout_ms = WELL_KNOWN_MS,
                                      .max_redirects = WELL_KNOWN_REDIRECTS };
  g_autoptr (CmOutboundAnswer) answer = cm_outbound_call (discovery->outbound, &request, NULL);
  gint64 now = g_get_monotonic_time ();
  WellKnown result = { .delegated = answer != NULL ? read_well_known (answer) : NULL };

  if (result.delegated != NULL) {
    gint64 age = answer->max_age_s < 0 ? DELEGATED_FOR : answer->max_age_s * SECOND;

    result.ask_again = now + CLAMP (age, DELEGATED_MIN, DELEGATED_MAX);
    result.good_until = now + DELEGATED_MAX;
    return result;
  }
  result.failures = MIN (before->failures + 1, 16);
  result.ask_again = now + MIN (FAILED_MIN << (result.failures - 1), FAILED_MAX);
  if (before->delegated != NULL && before->good_until > now) {
    result.delegated = g_strdup (before->delegated);
    result.good_until = before->good_until;
  }
  return result;
}

/* A copy of what is remembered, all zero when there is nothing. */
static WellKnown
recall_well_known (CmDiscovery *discovery, const char *name)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&discovery->lock);
  const Entry *entry = g_hash_table_lookup (discovery->entries, name);
  WellKnown copy = { 0 };

  if (entry != NULL) {
    copy = entry->well_known;
    copy.delegated = g_strdup (copy.delegated);
  }
  return copy;
}

static GPtrArray *
recall_candidates (CmDiscovery *discovery, const char *name)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&discovery->lock);
  const Entry *entry = g_hash_table_lookup (discovery->entries, name);

  if (entry == NULL || entry->candidates_until < g_get_monotonic_time ())
    return NULL;
  return g_ptr_array_ref (entry->candidates);
}

/* Takes @well_known's text. */
static void
remember (CmDiscovery *discovery, const char *name, const WellKnown *well_known,
          GPtrArray *candidates)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&discovery->lock);
  gint64 now = g_get_monotonic_time ();
  Entry *entry = g_new0 (Entry, 1);

  if (g_hash_table_size (discovery->entries) >= MAX_ENTRIES)
    g_hash_table_foreach_remove (discovery->entries, entry_is_stale, &now);
  if (g_hash_table_size (discovery->entries) >= MAX_ENTRIES)
    g_hash_table_remove_all (discovery->entries);
  entry->well_known = *well_known;
  entry->candidates = g_ptr_array_ref (candidates);
  entry->candidates_until = now + CANDIDATES_FOR;
  g_hash_table_replace (discovery->entries, g_strdup (name), entry);
}

static void
find_by_delegation (CmDiscovery *discovery, const char *name, const char *host,
                    GPtrArray *candidates)
{
  WellKnown well_known = recall_well_known (discovery, name);
  g_autofree char *delegated_host = NULL;

  if (well_known.ask_again < g_get_monotonic_time ()) {
    g_autofree char *old = well_known.delegated;

    well_known = fetch_well_known (discovery, host, &well_known);
  }
  if (well_known.delegated == NULL)
    find_by_records (discovery, host, candidates);
  else if (!find_by_name (well_known.delegated, candidates, &delegated_host))
    find_by_records (discovery, delegated_host, candidates);
  remember (discovery, name, &well_known, candidates);
}

GPtrArray *
cm_discovery_find (CmDiscovery *discovery, const char *server_name, GError **error)
{
  GPtrArray *candidates = g_hash_table_lookup (discovery->overrides, server_name);
  g_autofree char *host = NULL;

  if (candidates != NULL)
    return g_ptr_array_ref (candidates);
  if (!cm_id_split_server_name (server_name, NULL, NULL, NULL)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no server name");
    return NULL;
  }
  candidates = recall_candidates (discovery, server_name);
  if (candidates != NULL)
    return candidates;
  candidates = new_candidates ();
  if (!find_by_name (server_name, candidates, &host))
    find_by_delegation (discovery, server_name, host, candidates);
  return candidates;
}

/* "name=host:port" */
static gboolean
add_override (CmDiscovery *discovery, const char *text, GError **error)
{
  g_auto (GStrv) sides = g_strsplit (text, "=", 2);
  g_autofree char *name_host = NULL;
  g_autofree char *host = NULL;
  guint16 port;
  GPtrArray *candidates;

  if (g_strv_length (sides) != 2 || !cm_id_split_server_name (sides[0], &name_host, NULL, NULL) ||
      !cm_id_split_server_name (sides[1], &host, &port, NULL)) {
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "'%s' is not of the form name=host:port", text);
    return FALSE;
  }
  candidates = new_candidates ();
  add_candidate (candidates, host, port != 0 ? port : DEFAULT_PORT, name_host, sides[0]);
  g_hash_table_replace (discovery->overrides, g_strdup (sides[0]), candidates);
  return TRUE;
}

CmDiscovery *
cm_discovery_new (CmOutbound *outbound, const char *const *resolve, GError **error)
{
  g_autoptr (CmDiscovery) discovery = g_new0 (CmDiscovery, 1);

  discovery->outbound = outbound;
  discovery->well_known_port = 443;
  discovery->overrides =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  discovery->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  g_mutex_init (&discovery->lock);
  for (gsize i = 0; resolve != NULL && resolve[i] != NULL; i++)
    if (!add_override (discovery, resolve[i], error))
      return NULL;
  return g_steal_pointer (&discovery);
}

void
cm_discovery_free (CmDiscovery *discovery)
{
  g_hash_table_unref (discovery->overrides);
  g_hash_table_unref (discovery->entries);
  g_mutex_clear (&discovery->lock);
  g_free (discovery);
}

void
cm_discovery_failed (CmDiscovery *discovery, const char *server_name)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&discovery->lock);
  Entry *entry = g_hash_table_lookup (discovery->entries, server_name);

  if (entry == NULL)
    return;
  entry->candidates_until = 0;
  entry->well_known.ask_again =
      MIN (entry->well_known.ask_again, g_get_monotonic_time () + DELEGATED_MIN);
}

void
cm_discovery_set_well_known_port (CmDiscovery *discovery, guint16 port)
{
  discovery->well_known_port = port;
}
