#include "server/sync/state.h"

#include "server/node.h"
#include "server/sync/hub.h"
#include "server/sync/summary.h"

/* The sections of all rooms of one answer while they are made. */
typedef struct {
  CmSyncAnswer *answer;
  const CmSyncRequest *request;
  CmRooms *rooms;
  CmLazyMembers *lazy;
  guint32 member; /* sym of m.room.member */
  GPtrArray *sections;
} Work;

/* The section of one room. */
typedef struct {
  CmSyncRoom *room;
  CmStateMap *start;   /* the state at the start of the timeline */
  CmStateMap *changes; /* what is to be shown */
} Section;

static void
section_free (gpointer data)
{
  Section *section = data;

  g_clear_pointer (&section->start, cm_state_map_unref);
  g_clear_pointer (&section->changes, cm_state_map_unref);
  g_free (section);
}

static gboolean
is_lazy (const Work *work)
{
  return work->request->filter->state->lazy_load_members;
}

/* The client is shown all there is rather than what changed. */
static gboolean
is_whole (const Work *work, const CmSyncRoom *room)
{
  return room->fresh || work->request->full_state;
}

static gboolean
in_timeline (const CmSyncRoom *room, gint64 number)
{
  for (guint i = 0; i < room->timeline->len; i++)
    if (((const CmEvent *) g_ptr_array_index (room->timeline, i))->number == number)
      return TRUE;
  return FALSE;
}

/* Which of @entries' events are no newer than the cut. */
static gboolean
keep_before_cut (const Work *work, GArray *entries, GError **error)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < entries->len; i++)
    g_array_append_val (numbers, g_array_index (entries, CmStateEntry, i).event);
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (work->rooms), (const gint64 *) numbers->data, numbers->len, error);
  if (events == NULL)
    return FALSE;
  for (guint i = entries->len; i > 0; i--) {
    const CmEvent *event = g_ptr_array_index (events, i - 1);
    if (event == NULL || event->position > work->answer->next.position)
      g_array_remove_index_fast (entries, i - 1);
  }
  return TRUE;
}

/* The room's state at the end of the timeline. An event's own state is that of its branch of the
 * graph; where branches have not met yet the room's resolved state differs from it. */
static CmStateMap *
final_state (const Work *work, CmSyncRoom *room, CmStateMap *end, GError **error)
{
  if (room->membership != CM_MEMBERSHIP_JOIN)
    return cm_state_map_ref (end);
  g_autoptr (CmRoomView) view = cm_rooms_view (work->rooms, room->room_id, error);
  if (view == NULL)
    return NULL;
  if (view->state_id == room->end_state)
    return cm_state_map_ref (end);
  g_autoptr (GArray) resolved = cm_state_map_diff (end, view->state, NULL);
  if (!keep_before_cut (work, resolved, error))
    return NULL;
  room->linear = room->linear && resolved->len == 0;
  return cm_state_map_update (end, g_steal_pointer (&resolved));
}

/* What of @changes the timeline does not tell by itself. */
static CmStateMap *
without_timeline (const CmSyncRoom *room, GArray *changes)
{
  for (guint i = changes->len; i > 0; i--)
    if (in_timeline (room, g_array_index (changes, CmStateEntry, i - 1).event))
      g_array_remove_index_fast (changes, i - 1);
  return cm_state_map_new (changes);
}

static gboolean
compare (const Work *work, Section *section, GError **error)
{
  CmSyncRoom *room = section->room;
  gint64 known_id = is_whole (work, room) ? 0 : room->known_state;

  section->start = cm_rooms_state_at (work->rooms, room->start_state, error);
  g_autoptr (CmStateMap) known =
      section->start != NULL ? cm_rooms_state_at (work->rooms, known_id, error) : NULL;
  g_autoptr (CmStateMap) end =
      known != NULL ? cm_rooms_state_at (work->rooms, room->end_state, error) : NULL;
  g_autoptr (CmStateMap) final = end != NULL ? final_state (work, room, end, error) : NULL;
  if (final == NULL)
    return FALSE;
  /* Of a large room with nothing new in its state nothing is compared. */
  if (known_id == room->start_state && known_id == room->end_state && final == end)
    section->changes = cm_state_map_new_empty ();
  else if (work->request->state_after)
    section->changes = cm_state_map_new (cm_state_map_diff (known, final, NULL));
  else if (room->linear)
    section->changes = cm_state_map_new (cm_state_map_diff (known, section->start, NULL));
  else
    section->changes = without_timeline (room, cm_state_map_diff (known, final, NULL));
  return TRUE;
}

static gboolean
is_member_event (const Work *work, const CmEvent *event)
{
  return event->type_sym == work->member && event->state_key != NULL;
}

static void
note_changed_members (const Work *work, Section *section)
{
  CmSyncRoom *room = section->room;
  gsize count;

  cm_state_map_of_type (section->changes, work->member, &count);
  room->changed_members = count > 0;
  for (guint i = 0; i < room->timeline->len && !room->changed_members; i++)
    room->changed_members = is_member_event (work, g_ptr_array_index (room->timeline, i));
}

static char *
lazy_key (const Work *work, const CmSyncRoom *room)
{
  const char *device = work->request->device_id;

  return g_strdup_printf ("%" G_GINT64_FORMAT "/%s/%" G_GINT64_FORMAT, work->request->user,
                          device != NULL ? device : "", room->room);
}

/* The users whose member events a lazy client needs: the set of their syms. */
static GHashTable *
wanted_members (const Work *work, const CmSyncRoom *room)
{
  GHashTable *wanted = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < room->timeline->len; i++) {
    const CmEvent *event = g_ptr_array_index (room->timeline, i);
    g_hash_table_add (wanted, GUINT_TO_POINTER (event->sender_sym));
  }
  if (is_whole (work, room))
    g_hash_table_add (wanted, GUINT_TO_POINTER ((guint32) work->request->user));
  for (gsize i = 0; room->heroes != NULL && room->heroes[i] != NULL; i++) {
    gint64 sym = cm_sym_lookup (work->request->node->ids, room->heroes[i], NULL);
    if (sym != 0)
      g_hash_table_add (wanted, GUINT_TO_POINTER ((guint32) sym));
  }
  return wanted;
}

/* Adds to @entries the member events at the start of the timeline that a lazy client lacks. */
static void
add_wanted (const Work *work, const Section *section, GHashTable *wanted, GArray *entries)
{
  const CmSyncRequest *request = work->request;
  g_autofree char *key = lazy_key (work, section->room);
  gboolean redundant =
      request->filter->state->include_redundant_members || is_whole (work, section->room);
  GHashTableIter iter;
  gpointer sym;

  g_hash_table_iter_init (&iter, wanted);
  while (g_hash_table_iter_next (&iter, &sym, NULL)) {
    CmStateEntry entry = { work->member, GPOINTER_TO_UINT (sym), 0 };
    entry.event = cm_state_map_get (section->start, work->member, entry.state_key);
    if (entry.event == 0 || in_timeline (section->room, entry.event) ||
        cm_state_map_get (section->changes, work->member, entry.state_key) != 0)
      continue;
    if (redundant || !cm_lazy_members_knows (work->lazy, key, entry.event, request->since.position))
      g_array_append_val (entries, entry);
  }
}

/* Of the whole state of a room a lazy client is shown those members only whom it needs; of what
 * changed it is shown all ("the server MUST return membership events for events in the gap"). */
static void
load_lazily (const Work *work, Section *section)
{
  g_autoptr (GHashTable) wanted = wanted_members (work, section->room);
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  const CmStateEntry *all = cm_state_map_entries (section->changes);
  gboolean whole = is_whole (work, section->room);

  for (gsize i = 0; i < cm_state_map_size (section->changes); i++)
    if (!whole || all[i].type != work->member ||
        g_hash_table_contains (wanted, GUINT_TO_POINTER (all[i].state_key)))
      g_array_append_val (entries, all[i]);
  add_wanted (work, section, wanted, entries);
  cm_state_map_unref (section->changes);
  section->changes = cm_state_map_new (entries);
}

static void
remember_shown (const Work *work, CmSyncRoom *room)
{
  g_autofree char *key = lazy_key (work, room);
  GPtrArray *lists[] = { room->state, room->timeline };

  if (is_whole (work, room))
    cm_lazy_members_forget (work->lazy, key);
  for (gsize l = 0; l < G_N_ELEMENTS (lists); l++)
    for (guint i = 0; i < lists[l]->len; i++) {
      const CmEvent *event = g_ptr_array_index (lists[l], i);
      if (is_member_event (work, event))
        cm_lazy_members_show (work->lazy, key, event->number, work->answer->next.position);
    }
}

static gboolean
fetch (const Work *work, GError **error)
{
  const CmEventFilter *filter = work->request->filter->state;
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  guint next = 0;

  for (guint s = 0; s < work->sections->len; s++) {
    const Section *section = g_ptr_array_index (work->sections, s);
    for (gsize i = 0; i < cm_state_map_size (section->changes); i++)
      g_array_append_val (numbers, cm_state_map_entries (section->changes)[i].event);
  }
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (work->rooms), (const gint64 *) numbers->data, numbers->len, error);
  if (events == NULL)
    return FALSE;
  for (guint s = 0; s < work->sections->len; s++) {
    Section *section = g_ptr_array_index (work->sections, s);
    gboolean wanted = cm_event_filter_wants_room (filter, section->room->room_id);
    for (gsize i = 0; i < cm_state_map_size (section->changes); i++) {
      CmEvent *event = g_ptr_array_index (events, next++);
      if (event != NULL && wanted &&
          cm_event_filter_wants (filter, event->type, event->sender, event->content))
        g_ptr_array_add (section->room->state, cm_event_ref (event));
    }
    if (is_lazy (work))
      remember_shown (work, section->room);
  }
  return TRUE;
}

/* Nothing can have changed that the timeline does not show. */
static gboolean
is_quiet (const Work *work, const CmSyncRoom *room)
{
  return !is_whole (work, room) && room->timeline->len == 0 && !room->limited &&
         room->known_state == room->end_state;
}

/* One room that cannot be read must not take the rest of the answer with it (CVE-2024-52815); a
 * database that is away does. */
static gboolean
compare_room (Work *work, CmSyncRoom *room, gboolean *readable, GError **error)
{
  g_autoptr (GError) failure = NULL;
  Section *section = g_new0 (Section, 1);

  section->room = room;
  *readable = compare (work, section, &failure);
  if (*readable) {
    note_changed_members (work, section);
    g_ptr_array_add (work->sections, section);
    return TRUE;
  }
  section_free (section);
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_UNAVAILABLE)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  g_warning ("Room %s cannot be shown: %s", room->room_id, failure->message);
  return TRUE;
}

static gboolean
compare_all (Work *work, GError **error)
{
  GPtrArray *rooms = work->answer->rooms;

  for (guint i = rooms->len; i > 0; i--) {
    CmSyncRoom *room = g_ptr_array_index (rooms, i - 1);
    gboolean readable;
    if (room->stateless || room->stripped != NULL || is_quiet (work, room))
      continue;
    if (!compare_room (work, room, &readable, error))
      return FALSE;
    if (!readable)
      g_ptr_array_remove_index (rooms, i - 1);
  }
  return TRUE;
}

gboolean
cm_sync_add_state (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;
  Work work = { .answer = answer,
                .request = request,
                .rooms = request->node->rooms,
                .lazy = cm_sync_hub_lazy (request->node->sync) };
  g_autoptr (GPtrArray) sections = g_ptr_array_new_with_free_func (section_free);

  work.sections = sections;
  work.member = (guint32) cm_sym (request->node->ids, "m.room.member", error);
  if (work.member == 0 || !compare_all (&work, error) || !cm_sync_add_summaries (answer, error))
    return FALSE;
  for (guint i = 0; i < sections->len && is_lazy (&work); i++)
    load_lazily (&work, g_ptr_array_index (sections, i));
  return fetch (&work, error);
}
