;; attacks: limits.deadline and limits.fuel, with straight lines of calls of a function that calls nothing
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (global $x (mut i64) (i64.const 1))
  (func $leaf (global.set $x (i64.mul (global.get $x) (i64.const 0x9e3779b97f4a7c15))))
  (func $a
    ;; repeat 400
    (call $leaf)
    ;; end
    )
  (func $b
    ;; repeat 400
    (call $a)
    ;; end
    )
  (func $c
    ;; repeat 400
    (call $b)
    ;; end
    )
  (func $d
    ;; repeat 400
    (call $c)
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $d)
    (unreachable)))
