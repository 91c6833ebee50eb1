/* What a redaction may take away in a room, this server's own and those of others, and that it is
 * gone then. */
#include "federation/append.h"
#include "federation/room-write.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

#define EVE "@eve:third.example"

static TestCluster *cluster;

static void
set_up (LiveRoom *fixture, gconstpointer version)
{
  live_room_init (fixture, cluster, version);
}

static void
set_up_shared (LiveRoom *fixture, gconstpointer version)
{
  live_room_init_shared (fixture, cluster, version);
}

static void
tear_down (LiveRoom *fixture, gconstpointer data)
{
  live_room_clear (fixture);
}

/* CVE-2024-6302: the sender himself or one with the level; a member of the same server is neither,
 * though other servers would let his redaction pass. */
static void
test_own_cve_2024_6302_redaction_auth (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) hers = live_room_say (fixture, ALICE, "hers"),
                      his = live_room_say (fixture, BOB, "his"),
                      other = live_room_say (fixture, BOB, "other");
  g_assert_null (engine_redact (fixture->room, BOB, hers->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_autoptr (CmEvent) own = engine_redact (fixture->room, BOB, his->event_id, &error);
  g_assert_no_error (error);
  g_autoptr (CmEvent) by_level = engine_redact (fixture->room, ALICE, other->event_id, &error);
  g_assert_no_error (error);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_autoptr (CmEvent) kept = cm_event_store_get (store, hers->number, &error),
                      gone = cm_event_store_get (store, his->number, &error);
  g_assert_cmpuint (kept->flags & CM_EVENT_REDACTED, ==, 0);
  g_assert_cmpstr (gone->redacted_because, ==, own->event_id);
  /* Across rooms, and of what nobody knows. */
  g_autoptr (CmRoom) second = engine_room (fixture->engine, "11", BOB);
  g_assert_null (engine_redact (second, BOB, hers->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_assert_null (
      engine_redact (fixture->room, ALICE, "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

static void
test_own_redaction_special_targets (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) create = cm_room_state_event (view, "m.room.create", "", &error);
  g_autoptr (CmEvent) acl =
      engine_send (fixture->room, ALICE, "m.room.server_acl", "", "{'allow':['*']}");
  g_assert_null (engine_redact (fixture->room, ALICE, create->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_null (engine_redact (fixture->room, ALICE, acl->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  /* A redacted redaction gives nothing back, and the first reason stays. */
  g_autoptr (CmEvent) message = live_room_say (fixture, ALICE, "message");
  g_autoptr (CmEvent) first = engine_redact (fixture->room, ALICE, message->event_id, &error);
  g_autoptr (CmEvent) second = engine_redact (fixture->room, ALICE, first->event_id, &error);
  g_autoptr (CmEvent) third = engine_redact (fixture->room, ALICE, message->event_id, &error);
  g_assert_no_error (error);
  live_room_restart (fixture);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_autoptr (CmEvent) pruned = cm_event_store_get (store, message->number, &error);
  g_assert_cmpuint (pruned->flags & CM_EVENT_REDACTED, !=, 0);
  g_assert_cmpstr (pruned->redacted_because, ==, first->event_id);
}

/* What a redaction takes from a state event is gone from the state too, and the room lives on. */
static void
test_own_redacted_state (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'secret'}");
  g_autoptr (CmEvent) redaction = engine_redact (fixture->room, ALICE, topic->event_id, &error);
  g_assert_no_error (error);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) shown = cm_room_state_event (view, "m.room.topic", "", &error);
  g_assert_cmpstr (shown->event_id, ==, topic->event_id);
  g_assert_null (cm_json_get (shown->content, "topic"));
  g_autoptr (CmEvent) again =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'secret'}");
  g_assert_cmpstr (again->event_id, !=, topic->event_id);
}

typedef struct {
  CmRoom *room;
  const char *target;
  GError *error;
} Redacting;

static gpointer
redact (gpointer data)
{
  Redacting *redacting = data;
  return engine_redact (redacting->room, ALICE, redacting->target, &redacting->error);
}

/* The outcome of a redaction is lost with the connection, and it is in the database after all: what
 * it took away is not shown from memory. */
static void
test_own_redaction_in_doubt (LiveRoom *fixture, gconstpointer data)
{
  Engine *engine = fixture->engine;
  g_autoptr (CmEvent) secret = live_room_say (fixture, ALICE, "secret"),
                      other = live_room_say (fixture, ALICE, "other");
  Redacting redacting = { fixture->room, secret->event_id, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (engine->pool, &error);
  g_autofree char *outcome = g_strdup_printf (
      "UPDATE event SET flags = flags | %d, redacted_by = %" G_GINT64_FORMAT
      " WHERE id = %" G_GINT64_FORMAT "; UPDATE stream SET batch = batch + 1; COMMIT",
      CM_EVENT_REDACTED, other->number, secret->number);

  g_assert_true (cm_db_script (db, "BEGIN; SELECT FROM stream FOR UPDATE", &error));
  GThread *thread = g_thread_new ("redact", redact, &redacting);
  for (g_autofree char *ended = NULL; g_strcmp0 (ended, "true") != 0; g_usleep (10000)) {
    g_free (ended);
    ended =
        engine_value (engine, "SELECT bool_or (pg_terminate_backend (pid)) FROM pg_stat_activity "
                              "WHERE query LIKE 'UPDATE stream SET position%%' "
                              "AND wait_event_type = 'Lock'");
  }
  g_assert_true (cm_db_script (db, outcome, &error));
  g_assert_null (g_thread_join (thread));
  fixture_assert_error (&redacting.error, CM_ERROR_UNAVAILABLE);
  g_autoptr (CmEvent) shown =
      cm_event_store_get (cm_rooms_events (engine->rooms), secret->number, &error);
  g_assert_no_error (error);
  g_assert_null (cm_json_get (shown->content, "body"));
}

static CmEvent *
foreign_redaction (LiveRoom *fixture, const char *sender, const char *target)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autofree char *inside = g_strdup_printf ("{'redacts':'%s'}", target);
  gboolean in_content = view->version->redacts_in_content;
  return engine_foreign (fixture->engine, fixture->room, sender, "m.room.redaction", NULL,
                         in_content ? inside : "{}", in_content ? NULL : inside);
}

static gboolean
is_redacted (LiveRoom *fixture, const char *event_id)
{
  g_autoptr (CmEvent) event = live_room_stored (fixture, event_id);
  gboolean pruned = cm_json_get (event->content, "body") == NULL;
  g_assert_true (pruned == ((event->flags & CM_EVENT_REDACTED) != 0));
  return pruned;
}

/* CVE-2024-6302: from another server too, only with the level or for one's own. */
static void
test_foreign_cve_2024_6302_redaction_auth (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) hers = live_room_say (fixture, ALICE, "hello"),
                      carols = live_room_foreign_say (fixture, CAROL);
  live_room_assert_received (fixture, carols, CM_VERDICT_ACCEPTED);
  engine_member (fixture->room, DAVE, DAVE, "join");
  engine_member (fixture->room, EVE, EVE, "join");
  g_autoptr (CmEvent) bad = foreign_redaction (fixture, CAROL, hers->event_id);
  engine_receive (fixture->room, bad);
  g_assert_false (is_redacted (fixture, hers->event_id));
  g_autoptr (CmEvent) stranger = foreign_redaction (fixture, EVE, carols->event_id);
  engine_receive (fixture->room, stranger);
  g_assert_false (is_redacted (fixture, carols->event_id));
  g_autoptr (CmEvent) neighbour = foreign_redaction (fixture, DAVE, carols->event_id);
  live_room_assert_received (fixture, neighbour, CM_VERDICT_ACCEPTED);
  g_assert_true (is_redacted (fixture, carols->event_id));
}

/* A redaction that comes first waits for its target, in memory, in the database, and for whatever
 * way the target comes. */
static void
test_foreign_cve_2024_6302_redaction_before_target (LiveRoom *fixture, gconstpointer way)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) target = live_room_foreign_say (fixture, CAROL);
  g_autoptr (CmEvent) redaction = foreign_redaction (fixture, CAROL, target->event_id);
  live_room_assert_received (fixture, redaction, CM_VERDICT_ACCEPTED);
  engine_assert_value (fixture->engine, "1", "SELECT count (*) FROM pending_redaction");
  live_room_restart (fixture);
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  g_assert_true (engine_history (fixture->engine, write, target, &verdict));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_assert_true (is_redacted (fixture, target->event_id));
  live_room_restart (fixture);
  g_assert_true (is_redacted (fixture, target->event_id));
  engine_assert_value (fixture->engine, "0", "SELECT count (*) FROM pending_redaction");
}

static void
test_foreign_redaction_and_target_in_one_write (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) target = live_room_foreign_say (fixture, CAROL),
                      redaction = foreign_redaction (fixture, CAROL, target->event_id);
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  g_assert_true (cm_room_write_live (write, redaction, NULL, 0, &verdict, &error));
  g_assert_true (cm_room_write_outlier (write, target, &verdict, &error));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_assert_true (is_redacted (fixture, target->event_id));
  /* Pruned it stays when it gets its place. */
  g_autoptr (CmEvent) again = cm_event_parse (target->version, target->json, &error);
  live_room_assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  g_assert_true (is_redacted (fixture, target->event_id));
  live_room_restart (fixture);
  g_assert_true (is_redacted (fixture, target->event_id));
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD_OWN(path, version, func)                                                               \
  g_test_add ("/room-redaction/own/" path "/" version, LiveRoom, version, set_up, func, tear_down)
#define ADD_FOREIGN(path, version, func)                                                           \
  g_test_add ("/room-redaction/foreign/" path "/" version, LiveRoom, version, set_up_shared, func, \
              tear_down)
  ADD_OWN ("CVE-2024-6302-redaction-auth", "10", test_own_cve_2024_6302_redaction_auth);
  ADD_OWN ("CVE-2024-6302-redaction-auth", "11", test_own_cve_2024_6302_redaction_auth);
  ADD_OWN ("redaction-special-targets", "10", test_own_redaction_special_targets);
  ADD_OWN ("redaction-special-targets", "12", test_own_redaction_special_targets);
  ADD_OWN ("redacted-state", "11", test_own_redacted_state);
  ADD_OWN ("CVE-2024-6300-redaction-in-doubt", "11", test_own_redaction_in_doubt);
  ADD_FOREIGN ("CVE-2024-6302-redaction-auth", "10", test_foreign_cve_2024_6302_redaction_auth);
  ADD_FOREIGN ("CVE-2024-6302-redaction-auth", "11", test_foreign_cve_2024_6302_redaction_auth);
  ADD_FOREIGN ("CVE-2024-6302-redaction-before-target", "10",
               test_foreign_cve_2024_6302_redaction_before_target);
  ADD_FOREIGN ("CVE-2024-6302-redaction-before-target", "11",
               test_foreign_cve_2024_6302_redaction_before_target);
  ADD_FOREIGN ("redaction-and-target-in-one-write", "11",
               test_foreign_redaction_and_target_in_one_write);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
