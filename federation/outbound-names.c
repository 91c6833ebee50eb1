#include "federation/outbound-names.h"

#define FRESH_USEC  (30 * G_USEC_PER_SEC)
#define MAX_ENTRIES 10000

struct _CmNames {
  GResolver *resolver;
  CmAddressFilter *filter;
  GMutex lock;
  GHashTable *entries; /* host -> Entry */
};

typedef struct {
  GStrv addresses;
  char *preferred; /* nullable */
  gint64 expires;  /* monotonic */
} Entry;

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_strfreev (entry->addresses);
  g_free (entry->preferred);
  g_free (entry);
}

static gboolean
entry_is_stale (gpointer host, gpointer data, gpointer now)
{
  Entry *entry = data;

  return entry->expires < *(gint64 *) now;
}

static GStrv
look_up (CmNames *names, const char *host, GCancellable *cancellable, GError **error)
{
  g_autoptr (GStrvBuilder) allowed = g_strv_builder_new ();
  g_auto (GStrv) list = NULL;
  g_autoptr (GError) failure = NULL;
  GList *found = g_resolver_lookup_by_name (names->resolver, host, cancellable, &failure);

  for (GList *l = found; l != NULL; l = l->next) {
    g_autofree char *text = g_inet_address_to_string (l->data);

    if (cm_address_filter_allows (names->filter, l->data))
      g_strv_builder_add (allowed, text);
    else
      g_info ("outbound: %s is at %s, which is refused", host, text);
  }
  g_resolver_free_addresses (found);

  list = g_strv_builder_end (allowed);
  if (list[0] == NULL) {
    if (failure != NULL)
      g_info ("outbound: %s", failure->message);
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server could not be reached");
    return NULL;
  }
  return g_steal_pointer (&list);
}

static void
put_first (GStrv addresses, const char *address)
{
  for (gsize i = 0; addresses[i] != NULL; i++)
    if (g_strcmp0 (addresses[i], address) == 0) {
      char *found = addresses[i];

      for (; i > 0; i--)
        addresses[i] = addresses[i - 1];
      addresses[0] = found;
      return;
    }
}

static GStrv
find_fresh (CmNames *names, const char *host)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&names->lock);
  Entry *entry = g_hash_table_lookup (names->entries, host);

  if (entry == NULL || entry->expires < g_get_monotonic_time ())
    return NULL;
  return g_strdupv (entry->addresses);
}

static void
remember (CmNames *names, const char *host, GStrv addresses)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&names->lock);
  gint64 now = g_get_monotonic_time ();
  Entry *entry = g_hash_table_lookup (names->entries, host);

  if (entry == NULL) {
    if (g_hash_table_size (names->entries) >= MAX_ENTRIES)
      g_hash_table_foreach_remove (names->entries, entry_is_stale, &now);
    if (g_hash_table_size (names->entries) >= MAX_ENTRIES)
      g_hash_table_remove_all (names->entries);
    entry = g_new0 (Entry, 1);
    g_hash_table_insert (names->entries, g_strdup (host), entry);
  }
  put_first (addresses, entry->preferred);
  g_strfreev (entry->addresses);
  entry->addresses = g_strdupv (addresses);
  entry->expires = now + FRESH_USEC;
}

CmNames *
cm_names_new (GResolver *resolver, CmAddressFilter *filter)
{
  CmNames *names = g_new0 (CmNames, 1);

  names->resolver = g_object_ref (resolver);
  names->filter = filter;
  names->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  g_mutex_init (&names->lock);
  return names;
}

void
cm_names_free (CmNames *names)
{
  g_object_unref (names->resolver);
  cm_address_filter_free (names->filter);
  g_hash_table_unref (names->entries);
  g_mutex_clear (&names->lock);
  g_free (names);
}

GStrv
cm_names_find (CmNames *names, const char *host, GCancellable *cancellable, GError **error)
{
  g_autofree char *key = g_ascii_strdown (host, -1);
  GStrv addresses = find_fresh (names, key);

  if (addresses != NULL)
    return addresses;
  addresses = look_up (names, key, cancellable, error);
  if (addresses != NULL)
    remember (names, key, addresses);
  return addresses;
}

void
cm_names_prefer (CmNames *names, const char *host, const char *address)
{
  g_autofree char *key = g_ascii_strdown (host, -1);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&names->lock);
  Entry *entry = g_hash_table_lookup (names->entries, key);

  if (entry == NULL || g_strcmp0 (entry->preferred, address) == 0)
    return;
  g_free (entry->preferred);
  entry->preferred = g_strdup (address);
  put_first (entry->addresses, address);
}

gboolean
cm_names_allows (CmNames *names, const char *address)
{
  g_autoptr (GInetAddress) parsed = g_inet_address_new_from_string (address);

  return parsed != NULL && cm_address_filter_allows (names->filter, parsed);
}
