-- Queries of nothing, and of nothing but comments.
;
;;
\;
\; ;
\; \; \; ;
/* only a comment */;
-- to the end of the line
;
/* nested /* twice */ */ ;
SELECT 1 \; \; SELECT 2;
\; SELECT 3;
SELECT 4 \; ;
SELECT 5 /* with a comment; that has a semicolon */ \; /* alone */ \; SELECT 6 -- ; at the end
;
BEGIN;
;
SELECT 1/0;
;
/* still failed */;
ROLLBACK;
''
;
\g
SELECT
;
/* unfinished;
*/
SELECT 'done';
   ;
