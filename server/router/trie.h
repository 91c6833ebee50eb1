/* The routes by path: a trie over raw path segments, in which a literal beats a parameter. Built
 * once, then only read. */
#pragma once

#include "server/http/http-server.h"
#include "server/router/route.h"

G_BEGIN_DECLS

#define CM_TRIE_MAX_SEGMENTS 16

/* A route as the router uses it. */
typedef struct {
  const CmRoute *route;
  CmServe serve; /* which listeners answer it */
  gsize max_body;
  char **names; /* of the parameters, in order; NULL-terminated */
} CmMatch;

/* A piece of the path, not terminated. */
typedef struct {
  const char *text;
  gsize length;
} CmSegment;

typedef struct _CmTrie CmTrie;

CmTrie *cm_trie_new (void);
void cm_trie_free (CmTrie *trie);

/* @route is borrowed. A path with the segment "v3" is reachable with "r0" too. Two routes of one
 * method and path are a mistake in the tables and end the program. */
void cm_trie_add (CmTrie *trie, const CmRoute *route);

/**
 * cm_trie_match: find @method and @path (@length bytes, no query).
 * @segments: (out): the raw values of the parameters, room for CM_TRIE_MAX_SEGMENTS.
 * @known: (out): whether the path exists, with whatever method.
 */
const CmMatch *cm_trie_match (const CmTrie *trie, const char *method, CmServe serve,
                              const char *path, gsize length, CmSegment *segments, gboolean *known);

G_END_DECLS
