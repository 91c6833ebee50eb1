#include "federation/timeline.h"

#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#include <string.h>

static TestCluster *cluster;

typedef struct {
  Engine *engine;
  CmRoom *room;
  gint64 sym;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->engine = engine_new (cluster);
  fixture->room = engine_room (fixture->engine, "11", ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  fixture->sym = view->room;
  engine_member (fixture->room, BOB, BOB, "join");
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_room_unref (fixture->room);
  engine_free (fixture->engine);
}

static void
say (Fixture *fixture, const char *sender, const char *text)
{
  g_autofree char *content = g_strdup_printf ("{'body':'%s'}", text);
  g_autoptr (CmEvent) event = engine_send (fixture->room, sender, "m.room.message", NULL, content);
}

static CmTimelinePage *
read_page (Fixture *fixture, const CmTimelineQuery *query)
{
  g_autoptr (GError) error = NULL;
  CmTimelinePage *page = cm_timeline_read (fixture->engine->rooms, query, &error);
  g_assert_no_error (error);
  return page;
}

/* The bodies, or else types, of all pages to the end, "|" between pages. */
static char *
read_all (Fixture *fixture, CmTimelineQuery query)
{
  GString *text = g_string_new (NULL);
  for (guint pages = 0; pages < 50; pages++) {
    g_autoptr (CmTimelinePage) page = read_page (fixture, &query);
    g_assert_cmpuint (page->events->len, <=, query.limit);
    for (guint i = 0; i < page->events->len; i++) {
      const CmEvent *event = page->events->pdata[i];
      const char *body = cm_json_get_text (event->content, "body");
      g_string_append_printf (text, "%s ", body != NULL ? body : event->type);
    }
    if (!page->more)
      return g_string_free (text, FALSE);
    g_string_append (text, "| ");
    query.from = page->end;
  }
  g_assert_not_reached ();
}

static void
assert_pages (Fixture *fixture, CmTimelineQuery query, const char *expected)
{
  g_autofree char *text = read_all (fixture, query);
  g_assert_cmpstr (text, ==, expected);
}

static GArray *
syms (Fixture *fixture, const char *text)
{
  GArray *array = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 sym = text != NULL ? cm_sym (fixture->engine->ids, text, NULL) : 0;
  if (text != NULL)
    g_array_append_val (array, sym);
  return array;
}

static void
test_pages (Fixture *fixture, gconstpointer data)
{
  const char *texts[] = { "a", "b", "c", "d", "e" };
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    say (fixture, i % 2 == 0 ? ALICE : BOB, texts[i]);
  CmTimelineQuery back = {
    .room = fixture->sym, .from = G_MAXINT64, .to = G_MININT64, .backwards = TRUE, .limit = 4
  };
  assert_pages (fixture, back,
                "e d c b | a m.room.member m.room.join_rules m.room.power_levels | m.room.member "
                "m.room.create ");
  CmTimelineQuery forth = {
    .room = fixture->sym, .from = G_MININT64, .to = G_MAXINT64, .limit = 5
  };
  assert_pages (fixture, forth,
                "m.room.create m.room.member m.room.power_levels m.room.join_rules m.room.member | "
                "a b c d e ");
}

static void
test_bounds (Fixture *fixture, gconstpointer data)
{
  say (fixture, ALICE, "a");
  CmTimelineQuery all = {
    .room = fixture->sym, .from = G_MAXINT64, .to = G_MININT64, .backwards = TRUE, .limit = 1
  };
  g_autoptr (CmTimelinePage) a = read_page (fixture, &all);
  say (fixture, ALICE, "b");
  say (fixture, ALICE, "c");
  g_autoptr (CmTimelinePage) c = read_page (fixture, &all);
  /* Both ends stand outside. */
  CmTimelineQuery between = { .room = fixture->sym, .from = a->end, .to = c->end, .limit = 10 };
  assert_pages (fixture, between, "b ");
  between = (CmTimelineQuery){
    .room = fixture->sym, .from = c->end, .to = a->end, .backwards = TRUE, .limit = 10
  };
  assert_pages (fixture, between, "b ");
  /* Nothing there: the page ends where it began. */
  between =
      (CmTimelineQuery){ .room = fixture->sym, .from = c->end, .to = G_MAXINT64, .limit = 10 };
  g_autoptr (CmTimelinePage) none = read_page (fixture, &between);
  g_assert_cmpuint (none->events->len, ==, 0);
  g_assert_cmpint (none->end, ==, c->end);
  g_assert_false (none->more);
}

static void
test_filters (Fixture *fixture, gconstpointer data)
{
  say (fixture, ALICE, "a");
  say (fixture, BOB, "b");
  say (fixture, ALICE, "c");
  g_autoptr (GArray) messages = syms (fixture, "m.room.message"), alice = syms (fixture, ALICE),
                     bob = syms (fixture, BOB), nobody = syms (fixture, NULL);
  CmTimelineQuery query = { .room = fixture->sym,
                            .from = G_MAXINT64,
                            .to = G_MININT64,
                            .backwards = TRUE,
                            .limit = 2,
                            .types = messages };
  assert_pages (fixture, query, "c b | a ");
  query.senders = alice;
  assert_pages (fixture, query, "c a ");
  query.not_senders = alice;
  assert_pages (fixture, query, "");
  query.senders = NULL;
  assert_pages (fixture, query, "b ");
  query.types = NULL;
  query.not_types = messages;
  assert_pages (fixture, query, "m.room.member ");
  query.not_types = query.not_senders = NULL;
  query.senders = bob;
  assert_pages (fixture, query, "b m.room.member ");
  /* An empty list allows nothing, which is not the same as none. */
  query.senders = nobody;
  assert_pages (fixture, query, "");
}

/* CVE-2026-45076: however many events that nobody may see lie between, pages are full and go on to
 * the end. */
static void
test_cve_2026_45076_pagination_gap (Fixture *fixture, gconstpointer data)
{
  engine_member (fixture->room, CAROL, CAROL, "join");
  say (fixture, ALICE, "a");
  for (guint i = 0; i < 12; i++) {
    g_autofree char *content = g_strdup_printf ("{'name':'%u'}", i);
    g_autoptr (CmEvent) rejected =
        engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.name", "", content, NULL);
    g_assert_cmpint (engine_receive (fixture->room, rejected), ==, CM_VERDICT_REJECTED);
  }
  say (fixture, ALICE, "b");
  g_autoptr (GArray) messages = syms (fixture, "m.room.message");
  CmTimelineQuery query = { .room = fixture->sym,
                            .from = G_MAXINT64,
                            .to = G_MININT64,
                            .backwards = TRUE,
                            .limit = 1,
                            .types = messages };
  assert_pages (fixture, query, "b | a ");
}

/* The same when a whole page cannot be read. */
static void
test_cve_2026_45076_unreadable_page (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  say (fixture, ALICE, "a");
  for (guint i = 0; i < 4; i++)
    say (fixture, BOB, "bad");
  say (fixture, ALICE, "z");
  static const CmSql spoil = {
    "test-spoil",
    "UPDATE event_json SET json = '[]' WHERE position ('bad' in convert_from (json, 'UTF8')) > 0"
  };
  {
    g_autoptr (CmDb) db = cm_pool_get (fixture->engine->pool, &error);
    g_assert_true (cm_db_run (db, &spoil, CM_NO_ARGS, NULL, &error));
  }
  g_autofree char *room_id = NULL;
  {
    g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
    room_id = g_strdup (view->room_id);
  }
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, room_id);
  g_autoptr (GArray) messages = syms (fixture, "m.room.message");
  CmTimelineQuery query = { .room = fixture->sym,
                            .from = G_MAXINT64,
                            .to = G_MININT64,
                            .backwards = TRUE,
                            .limit = 2,
                            .types = messages };
  assert_pages (fixture, query, "z | | a ");
}

/* Backfilled history stands before the first live event, the newest of it last. */
static void
test_history (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  engine_member (fixture->room, CAROL, CAROL, "join");
  const char *texts[] = { "{'body':'y'}", "{'body':'x'}" };
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    CmVerdict verdict;
    g_autoptr (CmEvent) old = engine_foreign (fixture->engine, fixture->room, CAROL,
                                              "m.room.message", NULL, texts[i], NULL);
    g_assert_true (engine_history (fixture->engine, write, old, &verdict));
  }
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  say (fixture, ALICE, "z");
  g_autoptr (GArray) messages = syms (fixture, "m.room.message");
  CmTimelineQuery back = { .room = fixture->sym,
                           .from = G_MAXINT64,
                           .to = G_MININT64,
                           .backwards = TRUE,
                           .limit = 2,
                           .types = messages };
  assert_pages (fixture, back, "z y | x ");
}

static void
test_other_room (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmRoom) other = engine_room (fixture->engine, "12", BOB);
  g_autoptr (CmEvent) event =
      engine_send (other, BOB, "m.room.message", NULL, "{'body':'elsewhere'}");
  say (fixture, ALICE, "here");
  CmTimelineQuery query = {
    .room = fixture->sym, .from = G_MAXINT64, .to = G_MININT64, .backwards = TRUE, .limit = 2
  };
  g_autoptr (CmTimelinePage) page = read_page (fixture, &query);
  g_assert_cmpstr (((CmEvent *) page->events->pdata[1])->type, ==, "m.room.member");
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func) g_test_add ("/timeline/" path, Fixture, NULL, set_up, func, tear_down)
  ADD ("pages", test_pages);
  ADD ("bounds", test_bounds);
  ADD ("filters", test_filters);
  ADD ("CVE-2026-45076-pagination-gap", test_cve_2026_45076_pagination_gap);
  ADD ("CVE-2026-45076-unreadable-page", test_cve_2026_45076_unreadable_page);
  ADD ("history", test_history);
  ADD ("other-room", test_other_room);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
