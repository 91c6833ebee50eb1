#include "federation/append.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

#include <string.h>

static TestCluster *cluster;

static void
set_up (LiveRoom *fixture, gconstpointer version)
{
  live_room_init (fixture, cluster, version);
}

static void
tear_down (LiveRoom *fixture, gconstpointer data)
{
  live_room_clear (fixture);
}

/* An event names all forward extremities, its auth events by the rules, and is deeper than what it
 * stands on. */
static void
test_send (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) first = live_room_say (fixture, ALICE, "one"),
                      second = live_room_say (fixture, ALICE, "two");
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (second->position, >, first->position);
  g_assert_cmpint (second->depth, ==, first->depth + 1);
  const CmJson *prev = cm_json_get_array (second->json, "prev_events"),
               *auth = cm_json_get_array (second->json, "auth_events");
  g_assert_cmpuint (cm_json_length (prev), ==, 1);
  g_assert_cmpstr (cm_json_text (cm_json_item (prev, 0)), ==, first->event_id);
  /* m.room.create, m.room.power_levels and the sender's member event; version 12 does not name the
   * first. */
  g_assert_cmpuint (cm_json_length (auth), ==, strcmp (fixture->version, "12") == 0 ? 2 : 3);
  g_assert_true (cm_event_hash_matches (second));
  g_assert_cmpuint (view->extremities->len, ==, 1);
  g_assert_cmpint (g_array_index (view->extremities, gint64, 0), ==, second->number);
  g_assert_cmpint (view->depth, ==, second->depth);
  g_assert_cmpstr (cm_json_get_text (second->json, "room_id"), ==, fixture->room_id);
  g_assert_cmpint (g_get_real_time () / 1000 - second->origin_server_ts, <, 60000);
  live_room_restart (fixture);
  g_autoptr (CmEvent) third = live_room_say (fixture, ALICE, "three");
  g_assert_cmpint (third->depth, ==, second->depth + 1);
  g_assert_cmpint (third->position, >, second->position);
}

static void
test_forbidden (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 before = live_room_count (fixture, "event");
  g_assert_null (engine_try (fixture->room, BOB, "m.room.message", NULL, "{'body':'hi'}", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  engine_member (fixture->room, BOB, BOB, "join");
  g_assert_null (engine_try (fixture->room, BOB, "m.room.topic", "", "{'topic':'mine'}", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_cmpint (live_room_count (fixture, "event"), ==, before + 1);
  /* Nothing is left of them: the room goes on. */
  g_autoptr (CmEvent) after = live_room_say (fixture, BOB, "hello");
}

static void
test_event_size (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *filler = g_strnfill (66000, 'x');
  g_autofree char *content = g_strdup_printf ("{'body':'%s'}", filler);
  g_assert_null (engine_try (fixture->room, ALICE, "m.room.message", NULL, content, &error));
  fixture_assert_error (&error, CM_ERROR_TOO_LARGE);
  g_autofree char *long_key = g_strnfill (256, 'k');
  g_assert_null (engine_try (fixture->room, ALICE, "org.example", long_key, "{}", &error));
  g_assert_nonnull (error);
  g_assert_cmpuint (cm_error_status (error->code) / 100, ==, 4);
}

static void
test_unchanged_state (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) first =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'t','n':1}");
  g_autoptr (CmEvent) same =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'n':1,'topic':'t'}");
  g_autoptr (CmEvent) other =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'u','n':1}");
  g_autoptr (CmEvent) back =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'t','n':1}");
  g_assert_cmpstr (first->event_id, ==, same->event_id);
  g_assert_cmpstr (first->event_id, !=, other->event_id);
  g_assert_cmpstr (first->event_id, !=, back->event_id);
}

static void
test_batch (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'body':'hello'}");
  CmDraft drafts[] = {
    { .type = "m.room.message", .sender = ALICE, .content = cm_json_doc_root (content) },
    { .type = "m.room.topic",
      .state_key = "",
      .sender = ALICE,
      .content = cm_json_doc_root (content) },
    { .type = "m.room.message", .sender = ALICE, .content = cm_json_doc_root (content) },
  };
  static const CmSql extra_sql = {
    "test-extra", "INSERT INTO room_alias (alias, room, creator) VALUES ('#a:here.example', 1, 'a')"
  };
  CmWrite *extra = cm_write_new ();
  cm_write_take_positions (extra, 2);
  cm_write_add (extra, &extra_sql, CM_NO_ARGS);
  g_autoptr (GPtrArray) events = cm_room_append (fixture->room, drafts, 3, extra, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (events->len, ==, 3);
  for (guint i = 1; i < 3; i++) {
    const CmEvent *before = events->pdata[i - 1], *event = events->pdata[i];
    g_assert_cmpint (event->position, ==, before->position + 1);
    g_assert_cmpint (event->depth, ==, before->depth + 1);
  }
  g_assert_cmpint (live_room_count (fixture, "room_alias"), ==, 1);
  /* All or none. */
  drafts[2].sender = BOB;
  gint64 before = live_room_count (fixture, "event");
  g_assert_null (cm_room_append (fixture->room, drafts, 3, cm_write_new (), &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_cmpint (live_room_count (fixture, "event"), ==, before);
  g_autoptr (CmEvent) next = live_room_say (fixture, ALICE, "next");
  g_assert_cmpint (next->depth, ==, ((CmEvent *) events->pdata[2])->depth + 1);
}

/* What a write had made is gone with it, and with it whatever stood on it. */
static void
test_failed_extra (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'topic':'never'}");
  CmDraft draft = {
    .type = "m.room.topic", .state_key = "", .sender = ALICE, .content = cm_json_doc_root (content)
  };
  static const CmSql bad = { "test-bad", "UPDATE room SET depth = 0 WHERE id = -1" };
  CmWrite *extra = cm_write_new ();
  cm_write_add_fenced (extra, &bad, CM_NO_ARGS);
  g_assert_null (cm_room_append (fixture->room, &draft, 1, extra, &error));
  fixture_assert_error (&error, CM_ERROR_UNAVAILABLE);
  g_autoptr (CmRoom) fresh = engine_get (fixture->engine, fixture->room_id);
  g_autoptr (CmRoomView) view = cm_room_view (fresh), stale = cm_room_view (fixture->room);
  g_assert_true (fresh != fixture->room);
  g_assert_null (cm_room_state_event (view, "m.room.topic", "", &error));
  g_assert_no_error (error);
  g_assert_null (cm_room_state_event (stale, "m.room.topic", "", &error));
  g_assert_no_error (error);
  /* Who still holds the old room is led to the new one. */
  g_autoptr (CmEvent) next = live_room_say (fixture, ALICE, "next");
}

/* Another node has written to the room: this one's write touches no row, and is made anew on what
 * is there. */
static void
test_stale_owner (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) first = live_room_say (fixture, ALICE, "first");
  g_autofree char *sql =
      g_strdup_printf ("UPDATE room SET epoch = epoch + 1 WHERE id = %u", first->room_sym);
  CmSql bump = { "test-bump", sql };
  {
    g_autoptr (CmDb) db = cm_pool_get (fixture->engine->pool, &error);
    g_assert_true (cm_db_run (db, &bump, CM_NO_ARGS, NULL, &error));
  }
  g_autoptr (CmEvent) second = live_room_say (fixture, ALICE, "second");
  g_assert_cmpint (second->depth, ==, first->depth + 1);
  g_assert_cmpint (live_room_count (fixture, "event WHERE depth > 4"), ==, 2);
}

static void
test_members (LiveRoom *fixture, gconstpointer data)
{
  engine_member (fixture->room, ALICE, BOB, "invite");
  g_autofree char *user =
      engine_value (fixture->engine, "SELECT id FROM sym WHERE text = '%s'", BOB);
#define MEMBER(column) "SELECT " column " FROM member WHERE user_id = %s", user
  engine_assert_value (fixture->engine, "invite", MEMBER ("membership"));
  engine_assert_value (fixture->engine, "true", MEMBER ("local"));
  engine_member (fixture->room, BOB, BOB, "join");
  g_autofree char *joined = engine_value (fixture->engine, MEMBER ("position"));
  g_autoptr (CmEvent) named = engine_send (fixture->room, BOB, "m.room.member", BOB,
                                           "{'membership':'join','displayname':'Bob'}");
  engine_assert_value (fixture->engine, joined, MEMBER ("position"));
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, named->number);
  engine_assert_value (fixture->engine, number, MEMBER ("event"));
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (view->joined, ==, 2);
  g_assert_cmpint (view->local_joined, ==, 2);
  g_assert_cmpint (view->invited, ==, 0);
  g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (view->servers, HERE)), ==, 2);
  engine_assert_value (fixture->engine, "2", "SELECT joined FROM room_server");
  engine_member (fixture->room, ALICE, BOB, "leave");
  engine_assert_value (fixture->engine, "leave", MEMBER ("membership"));
  engine_assert_value (fixture->engine, "1", "SELECT joined FROM room_server");
  engine_assert_value (fixture->engine, "invite join leave",
                       "SELECT string_agg (membership, ' ' ORDER BY position) FROM member_history "
                       "WHERE user_id = %s",
                       user);
  engine_member (fixture->room, ALICE, ALICE, "leave");
  engine_assert_value (fixture->engine, NULL, "SELECT joined FROM room_server");
}

static void
test_current_state (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'a'}");
  g_autoptr (CmEvent) later =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'b'}");
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, later->number);
  engine_assert_value (fixture->engine, number, "SELECT event FROM current_state WHERE type = %u",
                       later->type_sym);
  engine_assert_value (fixture->engine, "5", "SELECT count (*) FROM current_state");
  g_assert_cmpint (topic->state_after, ==, later->state_before);
  g_assert_cmpint (later->state_after, !=, later->state_before);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmStateMap) before =
      cm_rooms_state_at (fixture->engine->rooms, later->state_before, &error);
  g_autoptr (CmEvent) was =
      cm_rooms_event_in (fixture->engine->rooms, before, "m.room.topic", "", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (was->event_id, ==, topic->event_id);
}

typedef struct {
  GString *text;
  const CmEvent *seen;
} Log;

static void
note_topic (CmTopicKind kind, const char *name, gpointer data)
{
  Log *log = data;
  g_string_append_printf (log->text, "%c:%s ", "URS"[kind], name);
}

static void
on_commit (const CmWrite *write, gint64 position, gpointer data)
{
  Log *log = data;
  GPtrArray *events = cm_write_attached (write, "events");
  cm_write_foreach_topic (write, note_topic, log);
  for (guint i = 0; events != NULL && i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    g_assert_cmpint (event->position, >=, position);
    g_string_append_printf (log->text, "%s ", event->type);
  }
}

static void
on_event (CmWrite *write, gint64 offset, const CmEvent *event, const CmRoomView *view,
          gpointer data)
{
  Log *log = data;
  g_string_append_printf (log->text, "hook:%s:%" G_GINT64_FORMAT " ", event->type, view->joined);
}

/* Listeners see the positions, topics name those concerned, and the floor above may add to the
 * write. */
static void
test_listeners (LiveRoom *fixture, gconstpointer data)
{
  Log log = { g_string_new (NULL), NULL };
  g_clear_pointer (&fixture->room, cm_room_unref);
  fixture->engine->hooks = (CmRoomHooks){ on_event, &log };
  engine_restart (fixture->engine);
  cm_committer_listen (fixture->engine->committer, on_commit, &log);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
  engine_member (fixture->room, ALICE, BOB, "invite");
  g_autofree char *expected =
      g_strdup_printf ("hook:m.room.member:1 U:%s R:%s m.room.member ", BOB, fixture->room_id);
  g_assert_cmpstr (log.text->str, ==, expected);
  g_string_truncate (log.text, 0);
  g_autoptr (CmEvent) message = live_room_say (fixture, ALICE, "hi");
  g_autofree char *second =
      g_strdup_printf ("hook:m.room.message:1 R:%s m.room.message ", fixture->room_id);
  g_assert_cmpstr (log.text->str, ==, second);
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
  g_string_free (log.text, TRUE);
}

static void
test_template (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'membership':'join'}");
  CmDraft draft = { .type = "m.room.member",
                    .state_key = CAROL,
                    .sender = CAROL,
                    .content = cm_json_doc_root (content) };
  gint64 before = live_room_count (fixture, "event");
  g_autoptr (CmJsonDoc) template = cm_room_template (fixture->room, &draft, &error);
  g_assert_no_error (error);
  const CmJson *object = cm_json_doc_root (template);
  g_assert_cmpstr (cm_json_get_text (object, "sender"), ==, CAROL);
  g_assert_cmpstr (cm_json_get_text (object, "state_key"), ==, CAROL);
  g_assert_cmpstr (cm_json_get_text (object, "room_id"), ==, fixture->room_id);
  g_assert_cmpint (cm_json_get_integer (object, "depth", 0), ==, 5);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (object, "prev_events")), ==, 1);
  g_assert_null (cm_json_get (object, "hashes"));
  g_assert_null (cm_json_get (object, "signatures"));
  g_assert_cmpint (live_room_count (fixture, "event"), ==, before);
  engine_member (fixture->room, ALICE, CAROL, "ban");
  g_assert_null (cm_room_template (fixture->room, &draft, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
}

static void
test_not_held (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = cm_rooms_open (fixture->engine->rooms, "!elsewhere:there.example",
                                           cm_room_version_find ("11"), &error);
  g_assert_no_error (error);
  g_assert_null (engine_try (room, ALICE, "m.room.message", NULL, "{}", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func) g_test_add ("/append/" path, LiveRoom, NULL, set_up, func, tear_down)
#define ADD_FOR(path, version, func)                                                               \
  g_test_add ("/append/" path "/" version, LiveRoom, version, set_up, func, tear_down)
  ADD_FOR ("send", "10", test_send);
  ADD_FOR ("send", "11", test_send);
  ADD_FOR ("send", "12", test_send);
  ADD ("forbidden", test_forbidden);
  ADD ("event-size", test_event_size);
  ADD ("unchanged-state", test_unchanged_state);
  ADD ("batch", test_batch);
  ADD ("failed-extra", test_failed_extra);
  ADD ("stale-owner", test_stale_owner);
  ADD ("members", test_members);
  ADD ("current-state", test_current_state);
  ADD ("listeners", test_listeners);
  ADD ("template", test_template);
  ADD ("not-held", test_not_held);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
