#include "federation/state-res-private.h"

#include <string.h>

const CmEvent *
cm_resolver_event (CmResolver *resolver, gint64 number)
{
  const CmEventSource *source = resolver->source;
  gpointer known;

  if (g_hash_table_lookup_extended (resolver->events, cm_number_to_pointer (number), NULL, &known))
    return known;
  CmEvent *event = source->fetch (number, source->data);
  if (event != NULL && (event->flags & CM_EVENT_REJECTED) != 0)
    g_clear_pointer (&event, cm_event_unref);
  g_hash_table_insert (resolver->events, cm_number_to_pointer (number), event);
  return event;
}

gint64
cm_resolver_auth_number (const CmEvent *event, gsize index)
{
  if (event->auth == NULL || index >= event->auth->len)
    return 0;
  gint64 number = g_array_index (event->auth, gint64, index);
  return number > 0 && number < event->number ? number : -1;
}

const CmEvent *
cm_resolver_auth_of_type (CmResolver *resolver, const CmEvent *event, const char *type)
{
  gint64 number;

  for (gsize i = 0; (number = cm_resolver_auth_number (event, i)) != 0; i++) {
    const CmEvent *auth = number > 0 ? cm_resolver_event (resolver, number) : NULL;
    if (cm_event_is (auth, type, ""))
      return auth;
  }
  return NULL;
}

static void
add_keys (GHashTable *keys, const CmStateMap *from, const CmStateMap *to)
{
  g_autoptr (GArray) changes = cm_state_map_diff (from, to, NULL);

  for (guint i = 0; i < changes->len; i++) {
    const CmStateEntry *entry = &g_array_index (changes, CmStateEntry, i);
    g_hash_table_add (keys, cm_state_key_to_pointer (entry->type, entry->state_key));
  }
}

/* A key is conflicted when any state has not what the first has. */
static void
find_conflicts (CmResolver *resolver)
{
  for (gsize i = 1; i < resolver->n_maps; i++) {
    add_keys (resolver->conflicted_keys, resolver->maps[0], resolver->maps[i]);
    add_keys (resolver->conflicted_keys, resolver->maps[i], resolver->maps[0]);
  }
}

static guint32
find_sym (const CmEventSource *source, const char *text)
{
  return (guint32) source->sym (text, source->data);
}

/* The room's create event: the first there is. */
static const CmEvent *
find_create (CmResolver *resolver, GError **error)
{
  guint32 type = find_sym (resolver->source, "m.room.create");
  guint32 state_key = find_sym (resolver->source, "");

  for (gsize i = 0; i < resolver->n_maps; i++) {
    gint64 number = cm_state_map_get (resolver->maps[i], type, state_key);
    const CmEvent *create = number != 0 ? cm_resolver_event (resolver, number) : NULL;
    if (create != NULL)
      return create;
  }
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "The room's m.room.create is not known");
  return NULL;
}

/* The state as it grows during the iterative auth checks. */
typedef struct {
  CmResolver *resolver;
  GHashTable *state;          /* cm_state_key_to_pointer () -> CmEvent */
  gboolean over_unconflicted; /* on top of the unconflicted state map, or of nothing */
  const CmEvent *create;
  const CmEvent *event; /* being checked */
} Checks;

static const CmEvent *
find_in_state (Checks *checks, guint32 type, guint32 state_key)
{
  CmResolver *resolver = checks->resolver;
  gpointer key = cm_state_key_to_pointer (type, state_key);
  const CmEvent *event = g_hash_table_lookup (checks->state, key);

  if (event != NULL || !checks->over_unconflicted ||
      g_hash_table_contains (resolver->conflicted_keys, key))
    return event;
  gint64 number = cm_state_map_get (resolver->maps[0], type, state_key);
  return number != 0 ? cm_resolver_event (resolver, number) : NULL;
}

/* What the state lacks, the event's own auth events give; what they do not name since version 12,
 * the room id does. */
static const CmEvent *
look_up (const char *type, const char *state_key, gpointer data)
{
  Checks *checks = data;
  CmResolver *resolver = checks->resolver;
  guint32 type_sym = find_sym (resolver->source, type);
  guint32 state_key_sym = find_sym (resolver->source, state_key);
  const CmEvent *found = NULL;
  gint64 number;

  if (type_sym != 0 && state_key_sym != 0)
    found = find_in_state (checks, type_sym, state_key_sym);
  for (gsize i = 0; found == NULL && (number = cm_resolver_auth_number (checks->event, i)) != 0;
       i++) {
    const CmEvent *auth = number > 0 ? cm_resolver_event (resolver, number) : NULL;
    if (cm_event_is (auth, type, state_key))
      found = auth;
  }
  if (found == NULL && resolver->version->room_id_is_create_hash &&
      cm_event_is (checks->create, type, state_key))
    return checks->create;
  return found;
}

/* rooms/v2, "Iterative auth checks" */
static void
check_each (Checks *checks, GPtrArray *events)
{
  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = g_ptr_array_index (events, i);
    checks->event = event;
    if (cm_auth_check (event, look_up, checks, NULL))
      g_hash_table_insert (checks->state,
                           cm_state_key_to_pointer (event->type_sym, event->state_key_sym), event);
  }
}

/* Step 5: where the states agree they stay as they are. */
static CmStateMap *
finish (Checks *checks)
{
  CmResolver *resolver = checks->resolver;
  const CmStateMap *first = resolver->maps[0];
  GArray *changes = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, resolver->conflicted_keys);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    const CmEvent *event = g_hash_table_lookup (checks->state, key);
    gsize packed = GPOINTER_TO_SIZE (key);
    CmStateEntry entry = { (guint32) (packed >> 32), (guint32) packed,
                           event != NULL ? event->number : 0 };
    g_array_append_val (changes, entry);
  }
  g_hash_table_iter_init (&iter, checks->state);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    const CmEvent *event = value;
    CmStateEntry entry = { event->type_sym, event->state_key_sym, event->number };
    if (!g_hash_table_contains (resolver->conflicted_keys, key) &&
        cm_state_map_get (first, entry.type, entry.state_key) == 0)
      g_array_append_val (changes, entry);
  }
  return cm_state_map_update (first, changes);
}

/* Takes those of @sorted out of @full, and gives the rest. */
static GPtrArray *
remaining (GHashTable *full, GPtrArray *sorted)
{
  GPtrArray *rest = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  for (guint i = 0; i < sorted->len; i++) {
    const CmEvent *event = g_ptr_array_index (sorted, i);
    g_hash_table_remove (full, cm_number_to_pointer (event->number));
  }
  g_hash_table_iter_init (&iter, full);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (rest, value);
  return rest;
}

/* The steps of rooms/v2 and rooms/v12, "Algorithm". */
static CmStateMap *
resolve (CmResolver *resolver, GError **error)
{
  Checks checks = { .resolver = resolver,
                    .over_unconflicted = resolver->version->state_res == CM_STATE_RES_V2 };

  checks.create = find_create (resolver, error);
  if (checks.create == NULL)
    return NULL;
  g_autoptr (GHashTable) state = checks.state = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) full = cm_resolver_full_conflicted_set (resolver);
  g_autoptr (GPtrArray) power_events = cm_resolver_sort_power (resolver, full, checks.create);
  check_each (&checks, power_events);

  g_autoptr (GPtrArray) others = remaining (full, power_events);
  const CmEvent *power = find_in_state (&checks, find_sym (resolver->source, "m.room.power_levels"),
                                        find_sym (resolver->source, ""));
  cm_resolver_sort_mainline (resolver, power, others);
  check_each (&checks, others);
  return finish (&checks);
}

CmStateMap *
cm_state_resolve (const CmRoomVersion *version, CmStateMap *const *maps, gsize n_maps,
                  const CmEventSource *source, GError **error)
{
  CmResolver resolver = { .version = version, .source = source, .maps = maps, .n_maps = n_maps };

  if (n_maps == 0)
    return cm_state_map_new_empty ();
  resolver.conflicted_keys = g_hash_table_new (NULL, NULL);
  resolver.events = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) cm_event_unref);
  find_conflicts (&resolver);
  CmStateMap *result = g_hash_table_size (resolver.conflicted_keys) > 0
                           ? resolve (&resolver, error)
                           : cm_state_map_ref (maps[0]);
  g_hash_table_unref (resolver.conflicted_keys);
  g_hash_table_unref (resolver.events);
  return result;
}
