-- What is above a limit takes two people, by whichever way it is done; and two people are two.

alter table approvals drop constraint approvals_action_check;
alter table approvals add constraint approvals_action_check
    check (action in ('confirm', 'refund', 'release_accept', 'release_give_back'));

alter table sign_in_links add column made_by text not null default '';
comment on column sign_in_links.made_by is 'the user who made it for another one; empty: it was made on the command line, or for oneself';
alter table sessions add column let_in_by text not null default '';
comment on column sessions.let_in_by is 'the other user whose link opened it; empty: its owner proved who they are';
alter table sessions add column offered_totp text;
comment on column sessions.offered_totp is 'the secret that the page shows until a code proves that the phone has it';
