/* login_private - the parts of a login. Each continues the op: by another part, done or fail. */
#ifndef DIF_PROVIDERS_AWS_LOGIN_PRIVATE_H
#define DIF_PROVIDERS_AWS_LOGIN_PRIVATE_H

#include "aws/login.h"

/* A key without an end of its own is looked up again after this long. */
#define AWS_FILE_LIFE_S 3600
/* The largest reply of a service that hands out credentials; they are 2 KB. */
#define AWS_LOGIN_REPLY_MAX 65536

/* login.c: a key was found; the roles that are left are assumed with it. */
void aws_found(struct dif_op *op, const struct aws_key *k);
/* Takes the key of a reply, whose members stand below node. */
void aws_take(struct dif_op *op, const struct dif_reply *r, const struct dif_node *node,
              const char *token);
/* False: too many lead to each other, and the op has failed. */
bool aws_push(struct dif_op *op, struct aws_role role);
/* The text of a small file without the line's end behind it; fails the op where it is empty or not
 * there. NULL: failed. */
const char *aws_file_text(struct dif_op *op, const struct dif_reply *r, const char *path);

/* login_sts.c */
void aws_assume(struct dif_op *op, const struct aws_key *with, const struct aws_role *role);
void aws_web_identity(struct dif_op *op, const struct aws_role *role, const char *path);

/* login_profile.c: the files, else what the machine gives. */
void aws_login_profile(struct dif_op *op);

/* login_machine.c */
void aws_login_machine(struct dif_op *op); /* the container's, else the instance's */
void aws_login_container(struct dif_op *op);
void aws_login_metadata(struct dif_op *op);

#endif
