/* A small room, of any version, for tests of the authorization rules. In JSON that goes in, VERSION
 * stands for the room version, SIGNED for a third party's signed object (mxid @left:b, token tok)
 * and KEY for the public key it is signed with.
 *
 * @creator:a made the room; @admin:a has power level 100, @mod:a 50; @user:b and @other:b are
 * members too. @invited:b, @knocker:b,
 * @left:b and @banned:b are what they are called. One joins by invite. @mod:a made the third party
 * invite with the token tok. */
#pragma once

#include "federation/auth-rules.h"
#include "fixture.h"

G_BEGIN_DECLS

typedef struct {
  const char *version;
  GHashTable *state; /* "type\nstate key" -> CmEvent */
} RoomFixture;

RoomFixture *room_fixture_new (const char *version);
void room_fixture_free (RoomFixture *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RoomFixture, room_fixture_free)

/* @changes: [[type, state key, sender, content], ...]; one without content takes the event away. */
void room_fixture_change (RoomFixture *room, const char *changes);

/* (transfer full) @json as an event of the room; its id is "$event". */
CmEvent *room_fixture_event (const RoomFixture *room, const char *json);
/* The state event (borrowed) at a key, or NULL. */
const CmEvent *
room_fixture_state (const RoomFixture *room, const char *type, const char *state_key);

/* Asserts that the event is refused by the rule of number @rule, or allowed when that is NULL. */
void room_fixture_assert (RoomFixture *room, const char *json, const char *rule);

/* An event in some versions; what is NULL as a rule is allowed. */
typedef struct {
  const char *name;
  guint versions;
  const char *state; /* nullable: changes */
  const char *event;
  const char *rule_old; /* versions 10 and 11 */
  const char *rule;     /* version 12 */
} RoomVector;

#define V10 1
#define V11 2
#define V12 4
#define OLD (V10 | V11)
#define ALL (V10 | V11 | V12)

/* One test for each of @vectors, called /@suite/name. */
void room_fixture_add_vectors (const char *suite, const RoomVector *vectors, gsize count);

#define EVENT(type, key, sender, content)                                                          \
  "{'type':'" type "','state_key':'" key "','sender':'" sender "','content':" content "}"
#define MEMBER(user, sender, membership)                                                           \
  EVENT ("m.room.member", user, sender, "{'membership':'" membership "'}")
#define LEVELS(content) "[['m.room.power_levels','','@creator:a'," content "]]"
#define JOIN_RULE(rule) "[['m.room.join_rules','','@creator:a',{'join_rule':'" rule "'}]]"

G_END_DECLS
