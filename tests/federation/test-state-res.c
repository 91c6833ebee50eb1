#include "graph-fixture.h"

#include <string.h>

#define CREATE "m.room.create"
#define MEMBER "m.room.member"
#define POWER  "m.room.power_levels"
#define RULES  "m.room.join_rules"
#define TOPIC  "m.room.topic"

#define JOIN  "{'membership':'join'}"
#define LEAVE "{'membership':'leave'}"
#define BAN   "{'membership':'ban'}"

static void
add_power (Graph *graph, const char *name, const char *sender, const char *users, gint64 timestamp,
           const char *auth)
{
  /* @alice:a made the room: version 12 does not let her be listed. */
  gboolean listed = !graph->version->creators_are_privileged;
  g_autofree char *content = g_strdup_printf ("{'users':{%s%s%s}}", listed ? "'@alice:a':100" : "",
                                              listed && users[0] != '\0' ? "," : "", users);
  graph_add (graph, name, sender, POWER, "", content, timestamp, auth);
}

/* A public room with Alice, who made it, Bob and Carol. @users: power levels besides hers. */
static Graph *
room_new (const char *version, const char *users)
{
  Graph *graph = graph_new (version);

  graph_add (graph, "CREATE", "@alice:a", CREATE, "", "{'creator':'@alice:a'}", 1, "");
  graph_add (graph, "ALICE", "@alice:a", MEMBER, "@alice:a", JOIN, 2, "CREATE");
  add_power (graph, "POWER", "@alice:a", users, 3, "CREATE ALICE");
  graph_add (graph, "RULES", "@alice:a", RULES, "", "{'join_rule':'public'}", 4,
             "CREATE ALICE POWER");
  graph_add (graph, "BOB", "@bob:b", MEMBER, "@bob:b", JOIN, 5, "CREATE POWER RULES");
  graph_add (graph, "CAROL", "@carol:c", MEMBER, "@carol:c", JOIN, 6, "CREATE POWER RULES");
  return graph;
}

static void
assert_two (Graph *graph, const char *a, const char *b, const char *expected)
{
  const char *const states[] = { a, b };
  graph_assert_resolves (graph, states, 2, expected);
}

static void
add_topic (Graph *graph, const char *name, const char *sender, gint64 timestamp, const char *auth)
{
  g_autofree char *content = g_strdup_printf ("{'topic':'%s'}", name);
  graph_add (graph, name, sender, TOPIC, "", content, timestamp, auth);
}

/* Alice promotes and then bans Bob, who meanwhile changes the power levels. */
static void
test_ban_and_power (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");

  add_power (graph, "P2", "@alice:a", "'@bob:b':50", 10, "CREATE ALICE POWER");
  add_power (graph, "P3", "@bob:b", "'@bob:b':50,'@carol:c':10", 15, "CREATE P2 BOB");
  graph_add (graph, "BAN", "@alice:a", MEMBER, "@bob:b", BAN, 20, "CREATE ALICE P2 BOB");
  assert_two (graph, "CREATE ALICE RULES P2 BAN", "CREATE ALICE RULES P3 BOB",
              "CREATE ALICE RULES P2 BAN");
}

/* Alice bans Bob, who meanwhile changes the topic. */
static void
test_ban_and_topic (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "'@bob:b':50");

  add_topic (graph, "TOPIC", "@bob:b", 10, "CREATE POWER BOB");
  graph_add (graph, "BAN", "@alice:a", MEMBER, "@bob:b", BAN, 20, "CREATE ALICE POWER BOB");
  assert_two (graph, "CREATE ALICE RULES POWER BAN", "CREATE ALICE RULES POWER BOB TOPIC",
              "CREATE ALICE RULES POWER BAN");
}

/* Bob raises Carol while Alice demotes him: hers goes first, though his is older. */
static void
test_power_fork (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "'@bob:b':50");

  add_power (graph, "BY-BOB", "@bob:b", "'@bob:b':50,'@carol:c':50", 10, "CREATE POWER BOB");
  add_power (graph, "BY-ALICE", "@alice:a", "", 20, "CREATE ALICE POWER");
  assert_two (graph, "CREATE ALICE RULES BOB BY-ALICE", "CREATE ALICE RULES BOB BY-BOB",
              "CREATE ALICE RULES BOB BY-ALICE");
}

/* Two by one sender: the later time, then the greater id, is applied last. */
static void
test_power_ties (gconstpointer version)
{
  static const struct {
    gint64 x;
    gint64 y;
    const char *expected;
  } rows[] = {
    { 10, 20, "CREATE ALICE RULES PY" },
    { 20, 10, "CREATE ALICE RULES PX" },
    { 10, 10, "CREATE ALICE RULES PY" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Graph) graph = room_new (version, "");
    add_power (graph, "PX", "@alice:a", "'@bob:b':1", rows[i].x, "CREATE ALICE POWER");
    add_power (graph, "PY", "@alice:a", "'@bob:b':2", rows[i].y, "CREATE ALICE POWER");
    assert_two (graph, "CREATE ALICE RULES PX", "CREATE ALICE RULES PY", rows[i].expected);
  }
}

/* Alice closes the room; Eve joins on a branch that has not heard of it. */
static void
test_join_rules_evasion (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");

  graph_add (graph, "CLOSED", "@alice:a", RULES, "", "{'join_rule':'invite'}", 20,
             "CREATE ALICE POWER");
  graph_add (graph, "EVE", "@eve:e", MEMBER, "@eve:e", JOIN, 10, "CREATE POWER RULES");
  assert_two (graph, "CREATE ALICE POWER CLOSED", "CREATE ALICE POWER RULES EVE",
              "CREATE ALICE POWER CLOSED");
}

/* What is based on older power levels goes first, whatever its time. */
static void
test_mainline (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "'@bob:b':50");

  add_power (graph, "P2", "@alice:a", "", 10, "CREATE ALICE POWER");
  add_power (graph, "LOST", "@bob:b", "'@bob:b':50,'@carol:c':1", 11, "CREATE POWER BOB");
  add_topic (graph, "OLD", "@alice:a", 200, "CREATE ALICE POWER");
  add_topic (graph, "NEW", "@alice:a", 100, "CREATE ALICE P2");
  add_topic (graph, "ON-LOST", "@alice:a", 300, "CREATE ALICE LOST");
  add_topic (graph, "ON-NONE", "@alice:a", 400, "CREATE ALICE");

  assert_two (graph, "CREATE ALICE RULES POWER OLD", "CREATE ALICE RULES P2 NEW",
              "CREATE ALICE RULES P2 NEW");
  assert_two (graph, "CREATE ALICE RULES BOB LOST ON-LOST", "CREATE ALICE RULES BOB P2 NEW",
              "CREATE ALICE RULES BOB P2 NEW");
  assert_two (graph, "CREATE ALICE RULES P2 ON-NONE", "CREATE ALICE RULES POWER OLD",
              "CREATE ALICE RULES P2 OLD");
  /* The fork leaves the mainline where OLD does: then time decides. */
  assert_two (graph, "CREATE ALICE RULES BOB LOST ON-LOST", "CREATE ALICE RULES BOB P2 OLD",
              "CREATE ALICE RULES BOB P2 ON-LOST");
}

static void
test_mainline_ties (gconstpointer version)
{
  static const struct {
    gint64 x;
    gint64 y;
    const char *expected;
  } rows[] = {
    { 10, 20, "CREATE ALICE RULES POWER TY" },
    { 20, 10, "CREATE ALICE RULES POWER TX" },
    { 10, 10, "CREATE ALICE RULES POWER TY" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Graph) graph = room_new (version, "");
    add_topic (graph, "TX", "@alice:a", rows[i].x, "CREATE ALICE POWER");
    add_topic (graph, "TY", "@alice:a", rows[i].y, "CREATE ALICE POWER");
    assert_two (graph, "CREATE ALICE RULES POWER TX", "CREATE ALICE RULES POWER TY",
                rows[i].expected);
  }
}

/* Bob's kick of Carol is undone by what took his power away. */
static void
test_demoted_before_kick (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "'@bob:b':50");

  add_power (graph, "P2", "@alice:a", "", 20, "CREATE ALICE POWER");
  graph_add (graph, "KICK", "@bob:b", MEMBER, "@carol:c", LEAVE, 10, "CREATE POWER BOB CAROL");
  assert_two (graph, "CREATE ALICE RULES BOB POWER KICK", "CREATE ALICE RULES BOB P2 CAROL",
              "CREATE ALICE RULES BOB P2 CAROL");
}

/* CVE-2022-39374: what was rejected once stays out, however good it looks now. */
static void
test_rejected (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");

  add_power (graph, "EVIL", "@alice:a", "'@bob:b':99", 50, "CREATE ALICE POWER");
  add_topic (graph, "TOPIC", "@alice:a", 60, "CREATE ALICE POWER");
  assert_two (graph, "CREATE ALICE RULES EVIL", "CREATE ALICE RULES POWER",
              "CREATE ALICE RULES EVIL");
  ((CmEvent *) g_hash_table_lookup (graph->names, "EVIL"))->flags = CM_EVENT_REJECTED;
  ((CmEvent *) g_hash_table_lookup (graph->names, "TOPIC"))->flags = CM_EVENT_REJECTED;
  assert_two (graph, "CREATE ALICE RULES EVIL TOPIC", "CREATE ALICE RULES POWER",
              "CREATE ALICE RULES POWER");
}

static void
test_unknown (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");

  add_topic (graph, "GONE", "@alice:a", 50, "CREATE ALICE POWER");
  add_topic (graph, "TOPIC", "@alice:a", 10, "CREATE ALICE POWER");
  g_autoptr (CmStateMap) gone = graph_state (graph, "CREATE ALICE RULES POWER GONE");
  g_autoptr (CmStateMap) here = graph_state (graph, "CREATE ALICE RULES POWER TOPIC");
  CmStateMap *const maps[] = { gone, here };
  CmEventSource source = graph_source (graph);
  guint last = graph->events->len - 2;
  cm_event_unref (g_steal_pointer (&graph->events->pdata[last]));
  g_autoptr (CmStateMap) result = cm_state_resolve (graph->version, maps, 2, &source, NULL);

  g_assert_true (cm_state_map_equal (result, here));
}

static void
test_agreement (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");
  g_autoptr (CmStateMap) state = graph_state (graph, "CREATE ALICE RULES POWER BOB");
  g_autoptr (CmStateMap) same = graph_state (graph, "BOB POWER RULES ALICE CREATE");
  CmStateMap *const maps[] = { state, same, state };
  CmEventSource source = graph_source (graph);

  for (gsize n = 1; n <= 3; n++) {
    g_autoptr (CmStateMap) result = cm_state_resolve (graph->version, maps, n, &source, NULL);
    g_assert_true (cm_state_map_equal (result, state));
  }
  g_assert_cmpuint (graph->fetches, ==, 0);
  g_autoptr (CmStateMap) none = cm_state_resolve (graph->version, maps, 0, &source, NULL);
  g_assert_cmpuint (cm_state_map_size (none), ==, 0);
}

static void
test_no_create (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");
  g_autoptr (CmStateMap) a = graph_state (graph, "ALICE RULES POWER BOB");
  g_autoptr (CmStateMap) b = graph_state (graph, "ALICE RULES POWER");
  CmStateMap *const maps[] = { a, b };
  CmEventSource source = graph_source (graph);
  g_autoptr (GError) error = NULL;

  g_assert_null (cm_state_resolve (graph->version, maps, 2, &source, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

/* More states than fit one word of flags. */
static void
test_many_states (gconstpointer version)
{
  g_autoptr (Graph) graph = room_new (version, "");
  g_autoptr (GPtrArray) states = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < 70; i++) {
    g_autofree char *name = g_strdup_printf ("T%02u", i);
    add_topic (graph, name, "@alice:a", 1000 - (i == 66 ? 0 : i + 1), "CREATE ALICE POWER");
    g_ptr_array_add (states, g_strdup_printf ("CREATE ALICE RULES POWER %s", name));
  }
  graph_assert_resolves (graph, (const char *const *) states->pdata, states->len,
                         "CREATE ALICE RULES POWER T66");
}

/* Row event-auth-creators: one who is a creator and stands in no power levels ranks above all who
 * do. Dave demotes Bob, who bans Carol meanwhile and before. */
static void
test_creator_outranks (void)
{
  g_autoptr (Graph) graph = graph_new ("12");

  graph_add (graph, "CREATE", "@alice:a", CREATE, "", "{'additional_creators':['@dave:d']}", 1, "");
  graph_add (graph, "ALICE", "@alice:a", MEMBER, "@alice:a", JOIN, 2, "CREATE");
  add_power (graph, "POWER", "@alice:a", "'@bob:b':100", 3, "ALICE");
  graph_add (graph, "RULES", "@alice:a", RULES, "", "{'join_rule':'public'}", 4, "ALICE POWER");
  graph_add (graph, "BOB", "@bob:b", MEMBER, "@bob:b", JOIN, 5, "POWER RULES");
  graph_add (graph, "CAROL", "@carol:c", MEMBER, "@carol:c", JOIN, 6, "POWER RULES");
  graph_add (graph, "DAVE", "@dave:d", MEMBER, "@dave:d", JOIN, 7, "POWER RULES");
  graph_add (graph, "BAN", "@bob:b", MEMBER, "@carol:c", BAN, 10, "POWER BOB CAROL");
  add_power (graph, "DEMOTION", "@dave:d", "", 20, "POWER DAVE");
  assert_two (graph, "CREATE ALICE RULES BOB DAVE POWER BAN",
              "CREATE ALICE RULES BOB DAVE CAROL DEMOTION",
              "CREATE ALICE RULES BOB DAVE CAROL DEMOTION");
}

/* CVE-2025-49090: in a room that was public and is not any more, the states differ in which of
 * Bob's joins they hold. On top of what both agree on, v2 judges the old joins by the new join
 * rules, and throws Bob out; v2.1 judges them by their own. */
static void
test_reset_by_join_rules (void)
{
  for (guint i = 0; i < 2; i++) {
    g_autoptr (Graph) graph = room_new (i == 0 ? "11" : "12", "");
    graph_add (graph, "BOB-LEFT", "@bob:b", MEMBER, "@bob:b", LEAVE, 10, "CREATE POWER BOB");
    graph_add (graph, "BOB-AGAIN", "@bob:b", MEMBER, "@bob:b", JOIN, 20,
               "CREATE POWER RULES BOB-LEFT");
    graph_add (graph, "CLOSED", "@alice:a", RULES, "", "{'join_rule':'invite'}", 30,
               "CREATE ALICE POWER");
    assert_two (graph, "CREATE ALICE POWER CLOSED BOB", "CREATE ALICE POWER CLOSED BOB-AGAIN",
                i == 0 ? "CREATE ALICE POWER CLOSED BOB-LEFT"
                       : "CREATE ALICE POWER CLOSED BOB-AGAIN");
  }
}

/* CVE-2025-49090: the power levels between the two that conflict are in every chain, through the
 * topic, and so no difference. v2 cannot see why Bob might change them; v2.1 finds them in the
 * conflicted state subgraph. */
static void
test_reset_of_power (void)
{
  for (guint i = 0; i < 2; i++) {
    g_autoptr (Graph) graph = room_new (i == 0 ? "11" : "12", "");
    add_power (graph, "P2", "@alice:a", "'@bob:b':100", 10, "CREATE ALICE POWER");
    add_power (graph, "P3", "@bob:b", "'@bob:b':100,'@carol:c':50", 20, "CREATE P2 BOB");
    add_topic (graph, "TOPIC", "@alice:a", 30, "CREATE ALICE P2");
    assert_two (graph, "CREATE ALICE RULES BOB TOPIC P3", "CREATE ALICE RULES BOB TOPIC POWER",
                i == 0 ? "CREATE ALICE RULES BOB TOPIC POWER" : "CREATE ALICE RULES BOB TOPIC P3");
  }
}

typedef struct {
  const char *name;
  GTestDataFunc test;
} Row;

static const Row rows[] = {
  { "ban-and-power", test_ban_and_power },
  { "ban-and-topic", test_ban_and_topic },
  { "power-fork", test_power_fork },
  { "power-ties", test_power_ties },
  { "join-rules-evasion", test_join_rules_evasion },
  { "mainline", test_mainline },
  { "mainline-ties", test_mainline_ties },
  { "demoted-before-kick", test_demoted_before_kick },
  { "CVE-2022-39374/rejected", test_rejected },
  { "unknown", test_unknown },
  { "agreement", test_agreement },
  { "no-create", test_no_create },
  { "many-states", test_many_states },
};

int
main (int argc, char **argv)
{
  const char *const versions[] = { "10", "11", "12" };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    for (gsize v = 0; v < G_N_ELEMENTS (versions); v++) {
      g_autofree char *path = g_strdup_printf ("/state-res/%s/%s", rows[i].name, versions[v]);
      g_test_add_data_func (path, versions[v], rows[i].test);
    }
  g_test_add_func ("/state-res/event-auth-creators/outrank", test_creator_outranks);
  g_test_add_func ("/state-res/CVE-2025-49090/join-rules", test_reset_by_join_rules);
  g_test_add_func ("/state-res/CVE-2025-49090/power-levels", test_reset_of_power);
  return g_test_run ();
}
