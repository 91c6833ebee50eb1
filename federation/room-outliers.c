/* The thousands of events that come with a room: what the database is asked, it is asked once for
 * all of them. */
#include "federation/room-private.h"

#include <string.h>

/* What is known by id: stored before, or added here. */
typedef struct {
  CmRoomWrite *write;
  GPtrArray *stored; /* of CmEvent: as long as the events, NULL where one is new */
  GPtrArray *others; /* of CmEvent: those that the events name beside themselves; some NULL */
  GHashTable *by_id; /* borrows */
} Outliers;

static void
outliers_clear (Outliers *outliers)
{
  g_clear_pointer (&outliers->stored, g_ptr_array_unref);
  g_clear_pointer (&outliers->others, g_ptr_array_unref);
  g_clear_pointer (&outliers->by_id, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outliers, outliers_clear)

static gboolean
find_stored (Outliers *outliers, GPtrArray *events, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  for (guint i = 0; i < events->len; i++)
    g_ptr_array_add (ids, ((CmEvent *) events->pdata[i])->event_id);
  outliers->stored = cm_event_store_find_many (outliers->write->room->rooms->events,
                                               (const char *const *) ids->pdata, ids->len, error);
  return outliers->stored != NULL;
}

static void
want (GHashTable *wanted, GHashTable *own, const char *id)
{
  if (!g_hash_table_contains (own, id) && !g_hash_table_contains (wanted, id))
    g_hash_table_add (wanted, g_strdup (id));
}

/* (transfer full) the ids that @events name as auth events, less their own. From version 12 on the
 * create event is an auth event of all others without being named. */
static GHashTable *
find_wanted (GPtrArray *events)
{
  GHashTable *wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) own = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < events->len; i++)
    g_hash_table_add (own, ((CmEvent *) events->pdata[i])->event_id);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    const CmJson *item;
    CmJsonIter iter;
    cm_json_iter_init (&iter, cm_json_get_array (event->json, "auth_events"));
    while (cm_json_iter_next (&iter, NULL, &item))
      want (wanted, own, cm_json_text (item));
    if (i == 0 && event->version->room_id_is_create_hash) {
      g_autofree char *create = g_strconcat ("$", event->room_id + 1, NULL);
      want (wanted, own, create);
    }
  }
  return wanted;
}

static gboolean
find_others (Outliers *outliers, GPtrArray *events, GError **error)
{
  g_autoptr (GHashTable) wanted = find_wanted (events);
  guint count;
  g_autofree const char **ids = (const char **) g_hash_table_get_keys_as_array (wanted, &count);
  outliers->others =
      cm_event_store_find_many (outliers->write->room->rooms->events, ids, count, error);
  if (outliers->others == NULL)
    return FALSE;
  for (guint i = 0; i < outliers->others->len; i++) {
    CmEvent *event = outliers->others->pdata[i];
    if (event != NULL)
      g_hash_table_insert (outliers->by_id, event->event_id, event);
  }
  return TRUE;
}

/* Has all symbols in memory, so that numbering the events one by one asks for none. */
static gboolean
learn_symbols (const Outliers *outliers, GPtrArray *events, GError **error)
{
  g_autoptr (GHashTable) texts = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (outliers->stored->pdata[i] != NULL)
      continue;
    g_hash_table_add (texts, (char *) event->type);
    g_hash_table_add (texts, (char *) event->sender);
    if (event->state_key != NULL)
      g_hash_table_add (texts, (char *) event->state_key);
  }
  guint count;
  g_autofree const char **list = (const char **) g_hash_table_get_keys_as_array (texts, &count);
  g_autofree gint64 *syms = g_new (gint64, count + 1);
  return cm_sym_many (outliers->write->room->rooms->parts.ids, list, count, syms, error);
}

/* Fills in @event's auth; FALSE when something of it is not known. */
static gboolean
link_auth (const Outliers *outliers, CmEvent *event)
{
  const CmJson *item;
  CmJsonIter iter;
  if (event->auth == NULL)
    event->auth = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (event->prev == NULL)
    event->prev = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_array_set_size (event->auth, 0);
  g_array_set_size (event->prev, 0);
  cm_json_iter_init (&iter, cm_json_get_array (event->json, "auth_events"));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const CmEvent *known = g_hash_table_lookup (outliers->by_id, cm_json_text (item));
    if (known == NULL)
      return FALSE;
    g_array_append_val (event->auth, known->number);
  }
  if (!event->version->room_id_is_create_hash || cm_event_is (event, "m.room.create", ""))
    return TRUE;
  g_autofree char *create = g_strconcat ("$", event->room_id + 1, NULL);
  return g_hash_table_contains (outliers->by_id, create);
}

gboolean
cm_room_write_outliers (CmRoomWrite *write, GPtrArray *events, GError **error)
{
  g_auto (Outliers) outliers = { .write = write };
  outliers.by_id = g_hash_table_new (g_str_hash, g_str_equal);
  if (events->len == 0)
    return TRUE;
  if (!find_stored (&outliers, events, error) || !find_others (&outliers, events, error) ||
      !learn_symbols (&outliers, events, error))
    return FALSE;
  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = events->pdata[i], *stored = outliers.stored->pdata[i];
    CmVerdict verdict;
    if (stored != NULL) {
      event->number = stored->number;
      g_hash_table_insert (outliers.by_id, event->event_id, stored);
    } else if (!link_auth (&outliers, event)) {
      g_message ("Event %s is left out: its auth events are not known", event->event_id);
    } else if (cm_room_write_new_outlier (write, event, &verdict, error)) {
      g_hash_table_insert (outliers.by_id, event->event_id, event);
    } else {
      return FALSE;
    }
  }
  return TRUE;
}
